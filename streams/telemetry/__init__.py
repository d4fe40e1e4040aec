"""What mesura tells about itself: metrics, health, logs. Never anything about a customer."""
