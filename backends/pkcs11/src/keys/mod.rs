//! What is done at a token: finding, making and using keys.
