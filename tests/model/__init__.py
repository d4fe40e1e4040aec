"""The independent model against answers worked out by hand."""
