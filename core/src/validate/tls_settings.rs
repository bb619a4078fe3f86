//! TLS settings of gateways and destination rules: which files and secrets each mode needs or must not have.

use serde_json::Value;

use super::{At, Violations};
use crate::model::ServerTls;

/// Modes of a gateway's server.
const SERVER_MODES: &[&str] = &[
    "PASSTHROUGH",
    "SIMPLE",
    "MUTUAL",
    "AUTO_PASSTHROUGH",
    "ISTIO_MUTUAL",
    "OPTIONAL_MUTUAL",
];

/// Modes of a client.
const CLIENT_MODES: &[&str] = &["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"];

const VERSIONS: &[&str] = &["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];

/// `tls` of a gateway's server.
pub(super) fn check_server(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let mode = tls.mode.as_deref().unwrap_or("PASSTHROUGH");
    if !SERVER_MODES.contains(&mode) {
        let message = format!(
            "{mode:?} is not a TLS mode; {} are",
            SERVER_MODES.join(", ")
        );
        violations.add(&at.key("mode"), message);
    }
    check_versions(tls, at, violations);
    for (position, suite) in tls.cipher_suites.iter().enumerate() {
        if tls.cipher_suites[..position].contains(suite) {
            let suites = at.key("cipherSuites");
            let at = suites.index(position);
            violations.warn(&at, format!("cipher suite {suite:?} is repeated"));
        }
    }
    let secret = given(&tls.credential_name)
        || !tls.credential_names.is_empty()
        || !tls.tls_certificates.is_empty();
    let files = given(&tls.server_certificate) || given(&tls.private_key);
    match mode {
        "ISTIO_MUTUAL" => {
            let keys = [
                ("serverCertificate", &tls.server_certificate),
                ("privateKey", &tls.private_key),
                ("caCertificates", &tls.ca_certificates),
                ("credentialName", &tls.credential_name),
            ];
            for (key, text) in keys {
                if given(text) {
                    violations.add(
                        &at.key(key),
                        "ISTIO_MUTUAL uses the mesh's own certificates",
                    );
                }
            }
        }
        "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL" => {
            if secret && files && given(&tls.credential_name) {
                let message = "only one of credentialName and files can be given";
                violations.add(&at.key("credentialName"), message);
            }
            if !secret {
                require(
                    at,
                    "serverCertificate",
                    given(&tls.server_certificate),
                    mode,
                    violations,
                );
                require(at, "privateKey", given(&tls.private_key), mode, violations);
                if mode != "SIMPLE" {
                    require(
                        at,
                        "caCertificates",
                        given(&tls.ca_certificates),
                        mode,
                        violations,
                    );
                }
            }
        }
        _ => {}
    }
}

fn require(at: &At<'_>, key: &str, given: bool, mode: &str, violations: &mut Violations) {
    if !given {
        violations.add_hint(
            at,
            format!("mode {mode} needs {key}"),
            "name a Secret in credentialName, or give the files",
        );
    }
}

fn check_versions(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    let mut rank = |key: &str, version: &Option<String>| {
        let version = version.as_deref()?;
        let rank = VERSIONS.iter().position(|known| *known == version);
        if rank.is_none() {
            let message = format!(
                "{version:?} is not a TLS version; {} are",
                VERSIONS.join(", ")
            );
            violations.add(&at.key(key), message);
        }
        rank.filter(|rank| *rank > 0)
    };
    let oldest = rank("minProtocolVersion", &tls.min_protocol_version);
    let newest = rank("maxProtocolVersion", &tls.max_protocol_version);
    if let (Some(oldest), Some(newest)) = (oldest, newest)
        && oldest > newest
    {
        violations.add(
            &at.key("maxProtocolVersion"),
            "it is older than minProtocolVersion",
        );
    }
}

/// `tls` of a traffic policy, whose type is still JSON.
pub(super) fn check_client(tls: &Value, at: &At<'_>, violations: &mut Violations) {
    let text = |key: &str| {
        tls.get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let mode = text("mode").unwrap_or("DISABLE");
    if !CLIENT_MODES.contains(&mode) {
        let message = format!(
            "{mode:?} is not a TLS mode; {} are",
            CLIENT_MODES.join(", ")
        );
        violations.add(&at.key("mode"), message);
    }
    let secret = text("credentialName").is_some();
    let files = ["clientCertificate", "privateKey"];
    match mode {
        "MUTUAL" if !secret => {
            for key in files {
                if text(key).is_none() {
                    violations.add(at, format!("mode MUTUAL needs {key}, or credentialName"));
                }
            }
        }
        "ISTIO_MUTUAL" => {
            for key in files
                .into_iter()
                .chain(["caCertificates", "credentialName"])
            {
                if text(key).is_some() {
                    violations.add(
                        &at.key(key),
                        "ISTIO_MUTUAL uses the mesh's own certificates",
                    );
                }
            }
        }
        _ => {}
    }
    if secret && files.iter().any(|key| text(key).is_some()) {
        let message = "only one of credentialName and files can be given";
        violations.add(&at.key("credentialName"), message);
    }
}
