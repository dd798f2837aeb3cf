//! A whole CA in memory, for other people's tests.
