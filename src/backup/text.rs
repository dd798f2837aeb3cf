//! Words of the house as they stand in JSON: each as it shows itself, and parsed where it comes in.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
use std::{fmt::Display, str::FromStr};

pub(super) fn serialize<T: Display, S: Serializer>(word: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(word)
}

pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr,
    T::Err: Display,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
