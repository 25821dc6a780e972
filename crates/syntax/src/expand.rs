//! Variables and quotes in instructions, as the builder expands them.
