//! `/certs`: the certificates that the proxy shows and trusts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_ir::{Secret, SecretKind};
use serde_json::{Map, Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::{Ask, Page, State};
use crate::telemetry::time::rfc3339;

const DAY: u64 = 24 * 60 * 60;

pub(super) fn page(state: &State, _: &Ask) -> Page {
    let known = state.known.copy();
    let now = SystemTime::now();
    let secrets = known.identity.iter().chain(&*known.config.secrets);
    let certificates: Vec<Value> = secrets.map(|secret| certificate(secret, now)).collect();
    Page::json(&json!({ "certificates": certificates }))
}

fn certificate(secret: &Secret, now: SystemTime) -> Value {
    let (name, pem) = match &secret.kind {
        SecretKind::Certificate { chain, .. } => ("cert_chain", chain),
        SecretKind::Trust { roots } => ("ca_cert", roots),
    };
    let details = Pem::iter_from_buffer(pem.as_bytes()).map_while(Result::ok);
    let details = details.filter_map(|pem| {
        let certificate = pem.parse_x509().ok()?;
        Some(details_of(&secret.name, &certificate, now))
    });
    json!({ name: details.collect::<Vec<_>>() })
}

fn details_of(secret: &str, certificate: &X509Certificate<'_>, now: SystemTime) -> Value {
    let validity = certificate.validity();
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs());
    let end = time(validity.not_after.timestamp());
    let left = end.duration_since(now).unwrap_or_default();
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    json!({
        "path": secret,
        "serial_number": hex(certificate.raw_serial()),
        "subject_alt_names": names.filter_map(name).collect::<Vec<_>>(),
        "days_until_expiration": (left.as_secs() / DAY).to_string(),
        "valid_from": rfc3339(time(validity.not_before.timestamp())),
        "expiration_time": rfc3339(end),
    })
}

/// A name in the form of Envoy's JSON; none for kinds that nobody goes by.
fn name(name: &GeneralName<'_>) -> Option<Value> {
    let (kind, text) = match name {
        GeneralName::URI(uri) => ("uri", (*uri).to_owned()),
        GeneralName::DNSName(name) => ("dns", (*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = match *bytes {
                [_, _, _, _] => <[u8; 4]>::try_from(*bytes).ok()?.into(),
                _ => std::net::IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            ("ip_address", address.to_string())
        }
        _ => return None,
    };
    Some(Value::Object(Map::from_iter([(
        kind.to_owned(),
        text.into(),
    )])))
}

/// Without the zero that marks a number as positive.
fn hex(number: &[u8]) -> String {
    let bytes = number.strip_prefix(&[0]).unwrap_or(number);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
