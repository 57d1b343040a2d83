//! Stories across functions.
