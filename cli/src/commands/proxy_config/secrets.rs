//! `proxy-config secret`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::dump::Dump;
use super::schema::{DataSource, Secret, view};
use super::section::{Section, dash};
use super::source::Source;

/// The certificates of a proxy: its own, and whom it trusts. Private keys are never shown
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config secret deployment/productpage-v1
  meshctl proxy-config secret productpage-v1-7c9f-x2b.default -o json
  meshctl proxy-config secret -f config_dump.json")]
pub struct Args {
    #[command(flatten)]
    pub source: Source,
}

const TITLES: &[&str] = &[
    "RESOURCE NAME",
    "TYPE",
    "STATUS",
    "VALID CERT",
    "SERIAL NUMBER",
    "NOT AFTER",
    "NOT BEFORE",
    "TRUST DOMAIN",
];

/// What is told of the first certificate of a secret.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    is_valid: bool,
    serial: String,
    not_after: String,
    not_before: String,
    trust_domain: String,
}

/// The secrets in the order of the dump. `now` says which certificates are valid.
pub fn section(dump: &Dump, now: SystemTime) -> anyhow::Result<Section> {
    let mut rows = Vec::new();
    let mut resources: Vec<Value> = Vec::new();
    for (status, resource) in dump.secrets()? {
        let secret: Secret = view(resource)?;
        rows.push(row(&secret, status, now));
        resources.push(resource.clone());
    }
    Ok(Section {
        titles: TITLES,
        rows,
        resources,
    })
}

fn row(secret: &Secret, status: &str, now: SystemTime) -> Vec<String> {
    let (kind, source) = match (&secret.tls_certificate, &secret.validation_context) {
        (Some(certificate), _) => ("Cert Chain", Some(&certificate.certificate_chain)),
        (None, Some(context)) => ("CA", Some(&context.trusted_ca)),
        (None, None) => ("", None),
    };
    let pem = source.map(bytes).unwrap_or_default();
    let facts = Facts::of(&pem, now).unwrap_or_default();
    let Facts {
        is_valid,
        serial,
        not_after,
        not_before,
        trust_domain,
    } = facts;
    vec![
        secret.name.clone(),
        dash(kind),
        status.to_owned(),
        is_valid.to_string(),
        dash(&serial),
        dash(&not_after),
        dash(&not_before),
        dash(&trust_domain),
    ]
}

fn bytes(source: &DataSource) -> Vec<u8> {
    match &source.inline_bytes {
        Some(text) => BASE64_STANDARD.decode(text).unwrap_or_default(),
        None => source.inline_string.clone().into_bytes(),
    }
}

// === impl Facts ===

impl Facts {
    /// None for what is no certificate.
    fn of(pem: &[u8], now: SystemTime) -> Option<Self> {
        let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let (from, to) = (
            certificate.validity().not_before.timestamp(),
            certificate.validity().not_after.timestamp(),
        );
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self {
            is_valid: (from..=to).contains(&i64::try_from(now).ok()?),
            serial: hex(certificate.raw_serial()),
            not_after: Timestamp::from_second(to).ok()?.to_string(),
            not_before: Timestamp::from_second(from).ok()?.to_string(),
            trust_domain: trust_domain(&certificate).unwrap_or_default(),
        })
    }
}

/// Without the zero that keeps a number positive.
fn hex(serial: &[u8]) -> String {
    let serial = match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    serial.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one of its SPIFFE identity.
fn trust_domain(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::URI(uri) = name else {
            return None;
        };
        let (domain, _) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        Some(domain.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, SanType, SerialNumber};
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_are_told_by_their_validity_and_trust_domain() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut params = CertificateParams::default();
        let name = "spiffe://example.org/ns/a/sa/b".try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(name)];
        params.serial_number = Some(SerialNumber::from(0x00f1_02a3));
        params.not_before = at(1_700_000_000).into();
        params.not_after = at(1_700_086_400).into();
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let secrets = json!({ "configs": [{
            "@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump",
            "dynamic_active_secrets": [
                { "secret": { "name": "default", "tls_certificate": {
                    "certificate_chain": { "inline_bytes": BASE64_STANDARD.encode(&pem) } } } },
                { "secret": { "name": "ROOTCA", "validation_context": {
                    "trusted_ca": { "inline_string": pem } } } },
            ],
            "dynamic_warming_secrets": [{ "secret": { "name": "later" } }],
        }] });
        let dump = Dump::parse(&secrets.to_string()).unwrap();
        let rows = |now| section(&dump, at(now)).unwrap().rows;
        let told = "f102a3 2023-11-15T22:13:20Z 2023-11-14T22:13:20Z example.org";
        let lines: Vec<String> = rows(1_700_000_001)
            .iter()
            .map(|row| row.join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                format!("default Cert Chain ACTIVE true {told}"),
                format!("ROOTCA CA ACTIVE true {told}"),
                "later - WARMING false - - - -".to_owned(),
            ]
        );
        for now in [1_600_000_000, 1_700_086_401] {
            assert_eq!(rows(now)[0][3], "false");
        }
    }
}
