//! What a hostile or careless client tries.

use crate::pki::{Pki, refused};

#[test]
fn a_path_that_is_no_text_is_refused_like_everything_else() {
    let pki = Pki::dev();
    refused(&pki.service.http().get("/pki/crl/%ff").unwrap(), 400, "malformed_request");
    refused(&pki.get("/pki/certificates/%ff"), 400, "malformed_request");
    for change in ["activate", "retire", "revoke"] {
        let answer = pki.admin.request("POST", &format!("/pki/ca/%ff/{change}"), &[], b"").unwrap();
        refused(&answer, 400, "malformed_request");
    }
}
