"""The colours that all charts share."""

BLUE, GREY, ORANGE = "#2563a8", "#8a8f98", "#c8601a"
