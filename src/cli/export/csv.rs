//! CSV (RFC 4180): a header and a record for each certificate.

use super::{Export, To, certificates, hexadecimal};
use crate::{
    api::CertificateDetail,
    client::{Client, Result, printable},
};

/// The columns. New ones come at the end.
const HEADER: &str = "serial,type,status,spiffe_id,common_name,not_before,not_after,created_at,issuer_serial,fingerprint_sha256\r\n";

pub(super) async fn write(client: &Client, wanted: &Export, to: &mut To) -> Result<u64> {
    to.put(HEADER.as_bytes())?;
    certificates(client, wanted, to, record).await
}

fn record(detail: &CertificateDetail) -> Result<String> {
    let item = &detail.item;
    // Not in base64url, which may begin with what begins a formula.
    let fingerprint = hexadecimal(&item.fingerprint)?;
    let fields = [
        &item.serial,
        &item.certificate_type,
        &item.status,
        item.spiffe_id.as_ref().unwrap_or(&String::new()),
        &item.common_name,
        &detail.not_before,
        &item.expires_at,
        &detail.created_at,
        &detail.issuer_serial,
        &fingerprint,
    ]
    .map(|text| field(text));
    Ok(fields.join(",") + "\r\n")
}

/// A field that no reader takes for a part of the next, for a formula, or for an order to a terminal.
fn field(text: &str) -> String {
    let text = printable(text);
    // Spreadsheets run what begins so; they take what follows an apostrophe for text.
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::CertificateItem, identity::Fingerprint};
    use proptest::prelude::*;

    #[test]
    fn a_record_is_one_line_with_every_field_in_its_place() {
        let detail = CertificateDetail {
            item: CertificateItem {
                serial: "0a".into(),
                spiffe_id: None,
                fingerprint: Fingerprint::of_certificate(b"certificate").to_string(),
                expires_at: "2026-02-13T16:00:00.000Z".into(),
                status: "active".into(),
                certificate_type: "root-ca".into(),
                common_name: "Root, \"the\" CA\r\n=1".into(),
            },
            certificate_pem: String::new(),
            issuer_serial: "0a".into(),
            not_before: "2024-02-14T00:00:00.000Z".into(),
            created_at: "2024-02-14T00:00:00.001Z".into(),
        };
        let record = record(&detail).unwrap();
        let begins = "0a,root-ca,active,,\"Root, \"\"the\"\" CA\u{fffd}\u{fffd}=1\",2024-02-14T00:00:00.000Z,2026-02-13T16:00:00.000Z,2024-02-14T00:00:00.001Z,0a,";
        assert!(record.starts_with(begins), "{record}");
        assert_eq!(record.len(), begins.len() + 64 + 2);
        assert_eq!(HEADER.split(',').count(), 10);
    }

    proptest! {
        #[test]
        fn no_field_is_a_formula_or_ends_early(text in "[=+@\\-\t\r\n,\"a'|]{0,12}|\\PC{0,20}") {
            let field = field(&text);
            let inside = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let begins = inside.unwrap_or(&field);
            prop_assert!(!begins.starts_with(['=', '+', '-', '@', '\t', '\r']), "{}", field);
            prop_assert!(!field.contains(['\r', '\n']));
            match inside {
                Some(inside) => prop_assert!(!inside.replace("\"\"", "").contains('"')),
                None => prop_assert!(!field.contains([',', '"'])),
            }
        }
    }
}
