//! CRC32C (Castagnoli), as Google asks for it and gives it.

use serde_json::Value;

/// The checksum of these octets.
pub(crate) fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        let low = u8::try_from(crc & 0xff).unwrap_or_default() ^ octet;
        (crc >> 8) ^ TABLE[usize::from(low)]
    })
}

/// As a message carries it: an int64 is a string in JSON.
pub(crate) fn carried(crc: u32) -> Value {
    Value::String(crc.to_string())
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[octet] = crc;
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b""), 0);
    }
}
