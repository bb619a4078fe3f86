//! TLS settings of gateways and destination rules: which files and secrets each mode needs or must not have.

use super::{At, Violations};
use crate::model::{ClientTls, ClientTlsMode, ServerTls, ServerTlsMode, TlsProtocol};

/// `tls` of a gateway's server.
pub(super) fn check_server(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let mode = tls.mode.unwrap_or_default();
    check_versions(tls, at, violations);
    for (position, suite) in tls.cipher_suites.iter().enumerate() {
        if !is_cipher_suite(suite) {
            let suites = at.key("cipherSuites");
            let message = format!("{suite:?} is not a cipher suite and counts as absent");
            violations.warn(&suites.index(position), message);
        }
        if tls
            .cipher_suites
            .iter()
            .take(position)
            .any(|one| one == suite)
        {
            let suites = at.key("cipherSuites");
            let at = suites.index(position);
            violations.warn(&at, format!("cipher suite {suite:?} is repeated"));
        }
    }
    let files = [
        ("serverCertificate", given(&tls.server_certificate)),
        ("privateKey", given(&tls.private_key)),
        ("caCertificates", given(&tls.ca_certificates)),
    ];
    let secret = given(&tls.credential_name) || !tls.credential_names.is_empty();
    let others = [
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
        ("credentialName", given(&tls.credential_name)),
        ("credentialNames", !tls.credential_names.is_empty()),
    ];
    let of_keys = files.into_iter().chain(others);
    match mode {
        ServerTlsMode::IstioMutual => {
            for (key, _) in of_keys.filter(|(_, given)| *given) {
                violations.add(
                    &at.key(key),
                    "ISTIO_MUTUAL uses the mesh's own certificates",
                );
            }
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            let unused = of_keys.chain([("caCrl", given(&tls.ca_crl))]);
            for (key, _) in unused.filter(|(_, given)| *given) {
                violations.warn(
                    &at.key(key),
                    "certificates have no meaning where TLS is not terminated",
                );
            }
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            check_terminating(tls, mode, secret, &files, at, violations);
        }
    }
    if mode != ServerTlsMode::IstioMutual {
        check_single_source(tls, at, violations);
    }
}

/// A certificate comes from one place.
fn check_single_source(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let sources = [
        (
            "serverCertificate",
            given(&tls.server_certificate) && given(&tls.private_key),
        ),
        ("credentialName", given(&tls.credential_name)),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ];
    let secret = given(&tls.credential_name) || !tls.credential_names.is_empty();
    if secret && given(&tls.ca_crl) {
        let message = "with credentialName, the Secret holds the revoked certificates";
        violations.add(&at.key("caCrl"), message);
    }
    let mut named = sources.into_iter().filter(|(_, given)| *given);
    let first = named.next().map(|(key, _)| key).unwrap_or_default();
    for (key, _) in named {
        violations.add(
            &at.key(key),
            format!("only one of {first} and {key} can be given"),
        );
    }
}

/// Whether Envoy knows a cipher suite, or takes the text for an expression about several.
fn is_cipher_suite(text: &str) -> bool {
    const SUITES: [&str; 15] = [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    ];
    let is_expression = !text.starts_with(char::is_alphanumeric) || text == "ALL";
    is_expression || SUITES.contains(&text)
}

/// A server that terminates TLS needs a certificate, and the authorities of clients where it asks them for theirs.
fn check_terminating(
    tls: &ServerTls,
    mode: ServerTlsMode,
    secret: bool,
    files: &[(&str, bool)],
    at: &At<'_>,
    violations: &mut Violations,
) {
    let mutual = mode != ServerTlsMode::Simple;
    if secret {
        for (key, _) in files.iter().filter(|(_, given)| *given) {
            violations.warn(&at.key(key), "with credentialName, files are not read");
        }
        return;
    }
    for (key, given) in files {
        let needed = match *key {
            "caCertificates" => mutual,
            // Several certificates are listed, each with its key.
            _ => tls.tls_certificates.is_empty(),
        };
        if needed && !given {
            violations.add_hint(
                &at.key(key),
                format!("{key} is missing"),
                "name a Secret in credentialName, or give the files",
            );
        }
    }
    for (position, certificate) in tls.tls_certificates.iter().enumerate() {
        let key = at.key("tlsCertificates");
        let at = key.index(position);
        for (key, file) in [
            ("serverCertificate", &certificate.server_certificate),
            ("privateKey", &certificate.private_key),
        ] {
            if file.as_deref().unwrap_or_default().is_empty() {
                violations.add(&at.key(key), format!("{key} is missing"));
            }
        }
    }
    if tls.ca_crl.as_deref().is_some_and(|file| !file.is_empty()) && !mutual {
        let message = "clients are not asked for certificates with mode SIMPLE";
        violations.add(&at.key("caCrl"), message);
    }
}

fn check_versions(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    let bound = |version: Option<TlsProtocol>| version.filter(|one| *one != TlsProtocol::Auto);
    let oldest = bound(tls.min_protocol_version);
    if let (Some(oldest), Some(newest)) = (oldest, bound(tls.max_protocol_version))
        && oldest > newest
    {
        violations.add(
            &at.key("maxProtocolVersion"),
            "it is older than minProtocolVersion",
        );
    }
    if oldest.is_some_and(|oldest| oldest < TlsProtocol::V1_2) && tls.cipher_suites.is_empty() {
        violations.warn_hint(
            &at.key("minProtocolVersion"),
            "the cipher suites that are used by default do not work before TLS 1.2",
            "list cipherSuites that do",
        );
    }
}

/// `tls` of a traffic policy.
pub(super) fn check_client(tls: &ClientTls, at: &At<'_>, violations: &mut Violations) {
    let ClientTls {
        mode,
        client_certificate,
        private_key,
        ca_certificates,
        credential_name,
        subject_alt_names,
        sni: _,
        insecure_skip_verify,
        ca_crl,
    } = tls;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let secret = given(credential_name);
    let files = [
        ("clientCertificate", given(client_certificate)),
        ("privateKey", given(private_key)),
        ("caCertificates", given(ca_certificates)),
        ("caCrl", given(ca_crl)),
    ];
    if *mode == ClientTlsMode::IstioMutual {
        for (key, given) in files.into_iter().chain([("credentialName", secret)]) {
            if given {
                violations.warn(
                    &at.key(key),
                    "ISTIO_MUTUAL uses the mesh's own certificates",
                );
            }
        }
        return;
    }
    if *mode == ClientTlsMode::Disable {
        return;
    }
    if secret && let Some((key, _)) = files.iter().find(|(_, given)| *given) {
        let message = format!("only one of credentialName and {key} can be given");
        violations.add(&at.key("credentialName"), message);
    }
    if *mode == ClientTlsMode::Mutual && !secret {
        for (key, given) in &files[..2] {
            if !given {
                let message = format!("mode MUTUAL needs {key}, or credentialName");
                violations.add(&at.key(key), message);
            }
        }
    }
    if *insecure_skip_verify == Some(true) {
        let unused = [
            ("caCertificates", given(ca_certificates)),
            ("subjectAltNames", !subject_alt_names.is_empty()),
            ("credentialName", secret && *mode == ClientTlsMode::Simple),
        ];
        for (key, _) in unused.into_iter().filter(|(_, given)| *given) {
            let message = "nothing is verified with insecureSkipVerify";
            violations.add(&at.key(key), message);
        }
    }
}
