//! TLS settings of gateways and destination rules: which files and secrets each mode needs or must not have.

use super::{At, Violations};
use crate::model::{ClientTls, ClientTlsMode, ServerTls, ServerTlsMode, TlsProtocol};

/// `tls` of a gateway's server.
pub(super) fn check_server(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let mode = tls.mode.unwrap_or_default();
    check_versions(tls, at, violations);
    for (position, suite) in tls.cipher_suites.iter().enumerate() {
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
    let of_keys = files.into_iter().chain([("credentialName", secret)]);
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
            for (key, _) in of_keys.filter(|(_, given)| *given) {
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
        if files.iter().any(|(_, given)| *given) {
            let message = "only one of credentialName and files can be given";
            violations.add(&at.key("credentialName"), message);
        }
        if tls.ca_crl.is_some() {
            let message = "with credentialName, the Secret holds the revoked certificates";
            violations.add(&at.key("caCrl"), message);
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
    if tls.ca_crl.is_some() && !mutual {
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
                violations.add(
                    &at.key(key),
                    "ISTIO_MUTUAL uses the mesh's own certificates",
                );
            }
        }
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
