//! Certificate serial numbers (RFC 5280, 4.1.2.2).

use super::fingerprint::{hex, unhex};
use std::{fmt, str::FromStr};

/// A certificate's serial number: 16 random octets whose first is 0x01…0x7f, so that the INTEGER is positive, has
/// exactly these octets in DER, and reads the same here as in other tools (32 hex digits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial([u8; 16]);

/// The text or the octets are no serial number of this CA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// Not of the form.
    #[error("not a serial number: expected 32 hex digits (with or without ':')")]
    Form,
    /// No random octets were to be had.
    #[error("the operating system gives no random numbers")]
    Random,
}

impl Serial {
    /// A fresh serial number, 127 random bits.
    ///
    /// # Errors
    /// [`SerialError::Random`] when the operating system's generator fails.
    pub fn random() -> Result<Self, SerialError> {
        loop {
            let mut octets = [0; 16];
            aws_lc_rs::rand::fill(&mut octets).map_err(|_| SerialError::Random)?;
            octets[0] &= 0x7f;
            if octets[0] != 0 {
                return Ok(Self(octets));
            }
        }
    }

    /// The octets, as in the certificate.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Serial {
    type Error = SerialError;
    fn try_from(octets: &[u8]) -> Result<Self, SerialError> {
        let octets: [u8; 16] = octets.try_into().map_err(|_| SerialError::Form)?;
        if (1..=0x7f).contains(&octets[0]) { Ok(Self(octets)) } else { Err(SerialError::Form) }
    }
}

impl FromStr for Serial {
    type Err = SerialError;
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
        Self::try_from(unhex(&digits).ok_or(SerialError::Form)?.as_slice())
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_serial_is_positive_and_sixteen_octets_in_der() {
        for _ in 0..1000 {
            let serial = Serial::random().unwrap();
            assert!((1..=0x7f).contains(&serial.as_bytes()[0]));
            assert_eq!(serial.to_string().parse(), Ok(serial));
        }
        assert_eq!("ff".repeat(16).parse::<Serial>(), Err(SerialError::Form));
        assert_eq!("00".repeat(16).parse::<Serial>(), Err(SerialError::Form));
    }
}
