module mesura/generators

go 1.24
