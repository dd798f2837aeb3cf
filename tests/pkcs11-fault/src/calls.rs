//! All functions of PKCS#11 3.2, in this module's form.
#![allow(non_snake_case)]

use crate::{
    entry::{C_GetFunctionList, C_GetInterface, C_GetInterfaceList},
    faults::Place,
    forward::forward,
    module::Functions,
    sign::{C_GenerateKeyPair, C_GetAttributeValue, C_Sign, C_SignFinal, C_SignInit, C_SignUpdate},
    token::{
        C_CloseAllSessions, C_CloseSession, C_Finalize, C_GetSlotInfo, C_GetSlotList, C_GetTokenInfo,
        C_Login, C_OpenSession,
    },
};
use cryptoki_sys::{CK_RV, CK_ULONG, CKR_FUNCTION_NOT_SUPPORTED};
use std::mem;

macro_rules! functions {
    ($($name:ident)*; without rules: $($entry:ident)*) => {
        /// The functions that rules can name.
        pub(crate) const FUNCTIONS: &[&str] = &[$(stringify!($name)),*];

        /// The functions of this module that stand before those; none where there is none.
        pub(crate) fn through(inner: Functions) -> Functions {
            let mut outer = inner;
            $(outer.$name = inner.$name.and(Some($name));)*
            $(outer.$entry = inner.$entry.and(Some($entry));)*
            outer
        }
    };
}

#[rustfmt::skip]
functions![
    C_Initialize C_Finalize C_GetInfo C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_GetMechanismList
    C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession C_CloseAllSessions
    C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout C_CreateObject
    C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
    C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate
    C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest
    C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal
    C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal
    C_VerifyRecoverInit C_VerifyRecover C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate
    C_DecryptVerifyUpdate C_GenerateKey C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom
    C_GenerateRandom C_GetFunctionStatus C_CancelFunction C_WaitForSlotEvent C_LoginUser C_SessionCancel
    C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin C_EncryptMessageNext
    C_MessageEncryptFinal C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin
    C_DecryptMessageNext C_MessageDecryptFinal C_MessageSignInit C_SignMessage C_SignMessageBegin
    C_SignMessageNext C_MessageSignFinal C_MessageVerifyInit C_VerifyMessage C_VerifyMessageBegin
    C_VerifyMessageNext C_MessageVerifyFinal C_EncapsulateKey C_DecapsulateKey C_VerifySignatureInit
    C_VerifySignature C_VerifySignatureUpdate C_VerifySignatureFinal C_GetSessionValidationFlags
    C_AsyncComplete C_AsyncGetID C_AsyncJoin C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated;
    without rules: C_GetFunctionList C_GetInterface C_GetInterfaceList
];

#[rustfmt::skip]
forward!(Module {
    C_Initialize: A; C_GetInfo: A; C_WaitForSlotEvent: A B C;
});

#[rustfmt::skip]
forward!(Token {
    C_GetMechanismList: A B; C_GetMechanismInfo: A B; C_InitToken: A B C;
});

#[rustfmt::skip]
forward!(Session {
    C_InitPIN: A B; C_SetPIN: A B C D; C_GetSessionInfo: A; C_GetOperationState: A B;
    C_SetOperationState: A B C D; C_Logout:; C_CreateObject: A B C; C_CopyObject: A B C D; C_DestroyObject: A;
    C_GetObjectSize: A B; C_SetAttributeValue: A B C; C_FindObjectsInit: A B; C_FindObjects: A B C;
    C_FindObjectsFinal:; C_EncryptInit: A B; C_Encrypt: A B C D; C_EncryptUpdate: A B C D; C_EncryptFinal: A B;
    C_DecryptInit: A B; C_Decrypt: A B C D; C_DecryptUpdate: A B C D; C_DecryptFinal: A B; C_DigestInit: A;
    C_Digest: A B C D; C_DigestUpdate: A B; C_DigestKey: A; C_DigestFinal: A B; C_SignRecoverInit: A B;
    C_SignRecover: A B C D; C_VerifyInit: A B; C_Verify: A B C D; C_VerifyUpdate: A B; C_VerifyFinal: A B;
    C_VerifyRecoverInit: A B; C_VerifyRecover: A B C D; C_DigestEncryptUpdate: A B C D;
    C_DecryptDigestUpdate: A B C D; C_SignEncryptUpdate: A B C D; C_DecryptVerifyUpdate: A B C D;
    C_GenerateKey: A B C D; C_WrapKey: A B C D E; C_UnwrapKey: A B C D E F G; C_DeriveKey: A B C D E;
    C_SeedRandom: A B; C_GenerateRandom: A B; C_GetFunctionStatus:; C_CancelFunction:; C_LoginUser: A B C D E;
    C_SessionCancel: A; C_MessageEncryptInit: A B; C_EncryptMessage: A B C D E F G H;
    C_EncryptMessageBegin: A B C D; C_EncryptMessageNext: A B C D E F G; C_MessageEncryptFinal:;
    C_MessageDecryptInit: A B; C_DecryptMessage: A B C D E F G H; C_DecryptMessageBegin: A B C D;
    C_DecryptMessageNext: A B C D E F G; C_MessageDecryptFinal:; C_MessageSignInit: A B;
    C_SignMessage: A B C D E F; C_SignMessageBegin: A B; C_SignMessageNext: A B C D E F; C_MessageSignFinal:;
    C_MessageVerifyInit: A B; C_VerifyMessage: A B C D E F; C_VerifyMessageBegin: A B;
    C_VerifyMessageNext: A B C D E F; C_MessageVerifyFinal:; C_EncapsulateKey: A B C D E F G;
    C_DecapsulateKey: A B C D E F G; C_VerifySignatureInit: A B C D; C_VerifySignature: A B;
    C_VerifySignatureUpdate: A B; C_VerifySignatureFinal:; C_GetSessionValidationFlags: A B;
    C_AsyncComplete: A B; C_AsyncGetID: A B; C_AsyncJoin: A B C D; C_WrapKeyAuthenticated: A B C D E F G;
    C_UnwrapKeyAuthenticated: A B C D E F G H I;
});
