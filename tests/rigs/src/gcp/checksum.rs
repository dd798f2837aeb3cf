//! CRC32C (Castagnoli, RFC 3720, appendix B.4), as Google asks for it and gives it.

const POLYNOMIAL: u32 = 0x82f6_3b78;

/// A message whose SHA-256 has the checksum zero, for keys that are sent digests. It was found by trying.
pub const ZERO_CHECKSUM_OF_SHA256: &[u8] = b"2067329822";

/// The same for SHA-384.
pub const ZERO_CHECKSUM_OF_SHA384: &[u8] = b"2001108331660";

/// The checksum of these octets.
#[must_use]
pub fn crc32c(octets: &[u8]) -> u32 {
    !register(octets)
}

/// The message and four octets more, so that its checksum is zero: a value like any other, which a careless client
/// takes for none.
#[must_use]
pub fn with_zero_checksum(message: &[u8]) -> Vec<u8> {
    // What the register must hold before the four octets if they are all zero, and it shall be full after them.
    let mut wanted = u32::MAX;
    for _ in 0..32 {
        wanted = if wanted >> 31 == 1 { ((wanted ^ POLYNOMIAL) << 1) | 1 } else { wanted << 1 };
    }
    [message, &(register(message) ^ wanted).to_le_bytes()].concat()
}

fn register(octets: &[u8]) -> u32 {
    octets.iter().fold(u32::MAX, |register, octet| {
        let low = u8::try_from(register & 0xff).unwrap_or_default() ^ octet;
        (register >> 8) ^ TABLE[usize::from(low)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut register = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            register = if register & 1 == 1 { (register >> 1) ^ POLYNOMIAL } else { register >> 1 };
            bit += 1;
        }
        table[octet] = register;
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{crc32c, with_zero_checksum};

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn a_message_with_the_checksum_zero_begins_like_the_one_it_is_made_of() {
        for message in [&b""[..], b"m", b"a message"] {
            let made = with_zero_checksum(message);
            assert_eq!((made.strip_prefix(message).map(<[u8]>::len), crc32c(&made)), (Some(4), 0));
        }
    }
}
