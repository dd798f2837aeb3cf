//! The words of Google's API that rigs and fake have in common, with the numbers of its definition
//! (google.cloud.kms.v1, google.rpc.Code).

use serde::{Deserialize, Serialize};

/// An enumeration of the API.
pub trait Enumeration: Copy + 'static {
    /// All that the fake has of it.
    const ALL: &'static [Self];

    /// Its number in Google's definition.
    fn number(self) -> i32;

    /// Its name in Google's definition.
    fn name(self) -> &'static str;
}

macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+ }

        impl Enumeration for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn number(self) -> i32 {
                match self { $(Self::$variant => $number,)+ }
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

enumeration! {
    /// What a CryptoKey is for.
    Purpose {
        /// Encryption, which the fake keeps without doing it: keys that are of no use to a CA.
        EncryptDecrypt = 1, "ENCRYPT_DECRYPT";
        /// Signing.
        AsymmetricSign = 5, "ASYMMETRIC_SIGN";
    }
}

enumeration! {
    /// Where the operations take place.
    ProtectionLevel {
        /// In software.
        Software = 1, "SOFTWARE";
        /// In an HSM.
        Hsm = 2, "HSM";
    }
}

enumeration! {
    /// The state of a version.
    State {
        /// It signs.
        Enabled = 1, "ENABLED";
        /// It can be enabled again.
        Disabled = 2, "DISABLED";
        /// Its key material is gone.
        Destroyed = 3, "DESTROYED";
        /// It can be restored until its destroy_time.
        DestroyScheduled = 4, "DESTROY_SCHEDULED";
        /// Its key is being made.
        PendingGeneration = 5, "PENDING_GENERATION";
        /// Its key could not be made; there never was one.
        GenerationFailed = 8, "GENERATION_FAILED";
    }
}

enumeration! {
    /// How much of a version is shown.
    View {
        /// With its attestation.
        Full = 1, "FULL";
    }
}

enumeration! {
    /// The encoding in which a public key is asked for.
    PublicKeyFormat {
        /// SubjectPublicKeyInfo as RFC 7468 has it.
        Pem = 1, "PEM";
        /// SubjectPublicKeyInfo.
        Der = 2, "DER";
        /// The octets of FIPS 204.
        NistPqc = 3, "NIST_PQC";
    }
}

enumeration! {
    /// What a version does.
    Algorithm {
        /// Encryption, without a key in the fake.
        GoogleSymmetricEncryption = 1, "GOOGLE_SYMMETRIC_ENCRYPTION";
        /// RSASSA-PSS, 2048 bits.
        RsaSignPss2048Sha256 = 2, "RSA_SIGN_PSS_2048_SHA256";
        /// RSASSA-PSS, 3072 bits.
        RsaSignPss3072Sha256 = 3, "RSA_SIGN_PSS_3072_SHA256";
        /// RSASSA-PSS, 4096 bits.
        RsaSignPss4096Sha256 = 4, "RSA_SIGN_PSS_4096_SHA256";
        /// RSASSA-PKCS1-v1_5, 2048 bits.
        RsaSignPkcs12048Sha256 = 5, "RSA_SIGN_PKCS1_2048_SHA256";
        /// RSASSA-PKCS1-v1_5, 3072 bits.
        RsaSignPkcs13072Sha256 = 6, "RSA_SIGN_PKCS1_3072_SHA256";
        /// RSASSA-PKCS1-v1_5, 4096 bits.
        RsaSignPkcs14096Sha256 = 7, "RSA_SIGN_PKCS1_4096_SHA256";
        /// ECDSA with P-256.
        EcSignP256Sha256 = 12, "EC_SIGN_P256_SHA256";
        /// ECDSA with P-384.
        EcSignP384Sha384 = 13, "EC_SIGN_P384_SHA384";
        /// RSASSA-PSS, 4096 bits, SHA-512.
        RsaSignPss4096Sha512 = 15, "RSA_SIGN_PSS_4096_SHA512";
        /// RSASSA-PKCS1-v1_5, 4096 bits, SHA-512.
        RsaSignPkcs14096Sha512 = 16, "RSA_SIGN_PKCS1_4096_SHA512";
        /// Ed25519, of the data itself.
        EcSignEd25519 = 40, "EC_SIGN_ED25519";
        /// ML-DSA-65, of the data itself.
        PqSignMlDsa65 = 56, "PQ_SIGN_ML_DSA_65";
        /// ML-DSA-65, of a µ that the caller computes.
        PqSignMlDsa65ExternalMu = 67, "PQ_SIGN_ML_DSA_65_EXTERNAL_MU";
        /// ML-DSA-87, of the data itself.
        PqSignMlDsa87 = 69, "PQ_SIGN_ML_DSA_87";
        /// ML-DSA-87, of a µ that the caller computes.
        PqSignMlDsa87ExternalMu = 71, "PQ_SIGN_ML_DSA_87_EXTERNAL_MU";
    }
}

enumeration! {
    /// The canonical error codes.
    Code {
        /// The caller gave up.
        Cancelled = 1, "CANCELLED";
        /// No more is known.
        Unknown = 2, "UNKNOWN";
        /// The request is wrong whatever the state.
        InvalidArgument = 3, "INVALID_ARGUMENT";
        /// It took too long, and may have been done.
        DeadlineExceeded = 4, "DEADLINE_EXCEEDED";
        /// There is no such resource.
        NotFound = 5, "NOT_FOUND";
        /// There is one already.
        AlreadyExists = 6, "ALREADY_EXISTS";
        /// The caller may not.
        PermissionDenied = 7, "PERMISSION_DENIED";
        /// Too much was asked for.
        ResourceExhausted = 8, "RESOURCE_EXHAUSTED";
        /// The state does not allow it.
        FailedPrecondition = 9, "FAILED_PRECONDITION";
        /// Another call came in between.
        Aborted = 10, "ABORTED";
        /// It is not done here.
        Unimplemented = 12, "UNIMPLEMENTED";
        /// Something broke.
        Internal = 13, "INTERNAL";
        /// The service is away.
        Unavailable = 14, "UNAVAILABLE";
        /// The caller is not known.
        Unauthenticated = 16, "UNAUTHENTICATED";
    }
}

impl Code {
    /// The HTTP status that carries it (google/rpc/code.proto).
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Cancelled => 499,
            Self::Unknown | Self::Internal => 500,
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::DeadlineExceeded => 504,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::PermissionDenied => 403,
            Self::ResourceExhausted => 429,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::Unauthenticated => 401,
        }
    }
}

/// The methods that the fake has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Google's")]
pub enum Method {
    ListLocations,
    GetLocation,
    CreateKeyRing,
    GetKeyRing,
    ListKeyRings,
    CreateCryptoKey,
    GetCryptoKey,
    ListCryptoKeys,
    UpdateCryptoKey,
    CreateCryptoKeyVersion,
    GetCryptoKeyVersion,
    ListCryptoKeyVersions,
    UpdateCryptoKeyVersion,
    DestroyCryptoKeyVersion,
    RestoreCryptoKeyVersion,
    GetPublicKey,
    AsymmetricSign,
}

impl Method {
    /// The IAM permission that it needs.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Self::ListLocations => "cloudkms.locations.list",
            Self::GetLocation => "cloudkms.locations.get",
            Self::CreateKeyRing => "cloudkms.keyRings.create",
            Self::GetKeyRing => "cloudkms.keyRings.get",
            Self::ListKeyRings => "cloudkms.keyRings.list",
            Self::CreateCryptoKey => "cloudkms.cryptoKeys.create",
            Self::GetCryptoKey => "cloudkms.cryptoKeys.get",
            Self::ListCryptoKeys => "cloudkms.cryptoKeys.list",
            Self::UpdateCryptoKey => "cloudkms.cryptoKeys.update",
            Self::CreateCryptoKeyVersion => "cloudkms.cryptoKeyVersions.create",
            Self::GetCryptoKeyVersion => "cloudkms.cryptoKeyVersions.get",
            Self::ListCryptoKeyVersions => "cloudkms.cryptoKeyVersions.list",
            Self::UpdateCryptoKeyVersion => "cloudkms.cryptoKeyVersions.update",
            Self::DestroyCryptoKeyVersion => "cloudkms.cryptoKeyVersions.destroy",
            Self::RestoreCryptoKeyVersion => "cloudkms.cryptoKeyVersions.restore",
            Self::GetPublicKey => "cloudkms.cryptoKeyVersions.viewPublicKey",
            Self::AsymmetricSign => "cloudkms.cryptoKeyVersions.useToSign",
        }
    }
}
