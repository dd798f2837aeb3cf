//! Reading an object's attributes, of which each token knows its own.

use crate::{token::Desk, trouble::Trouble};
use cryptoki::{
    error::Error,
    object::{Attribute, AttributeInfo, AttributeType, ObjectHandle},
};

/// The longest attribute that is read, in octets. Some old tokens say "unavailable" in 32 bits, which reads as 4 GiB.
const LONGEST: usize = 1 << 16;

/// The attributes of an object that the token tells; what it does not know, or keeps to itself, is not among them.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Vec<Attribute>);

impl Attributes {
    /// Asked one by one: an attribute that a token does not know spoils its answer about others, and some tokens then
    /// leave a buffer as it was, which would read as "false".
    pub(crate) fn read(
        desk: &Desk<'_>,
        object: ObjectHandle,
        kinds: &[AttributeType],
    ) -> Result<Self, Trouble> {
        let mut known = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let info = desk.session.get_attribute_info(object, &[*kind])?;
            if !matches!(info[..], [AttributeInfo::Available(length)] if length <= LONGEST) {
                continue;
            }
            match desk.session.get_attributes(object, &[*kind]) {
                Ok(values) => known.extend(values),
                // A value that has no meaning here, such as a vendor's own key type.
                Err(
                    Error::NotSupported | Error::InvalidValue | Error::TryFromSlice(_) | Error::TryFromInt(_),
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self(known))
    }

    /// Looks for one; `pick` says what of it.
    pub(crate) fn find<'a, T>(&'a self, pick: impl Fn(&'a Attribute) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }
}
