//! `.dockerignore` and its matcher.
