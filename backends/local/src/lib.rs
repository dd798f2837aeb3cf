//! Signing keys in encrypted PKCS#8 files, one per key.
