//! Generators and measurements; see `README.md` here for the figures.
