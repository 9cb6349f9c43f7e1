"""What tests share: projects, servers, stores and pages to test with."""
