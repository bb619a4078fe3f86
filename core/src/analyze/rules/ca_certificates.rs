//! TLS to servers whose certificates nobody verifies (IST0128, IST0129).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{ClientTls, ClientTlsMode, DestinationRuleSpec};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "destinationrule.CaCertificateAnalyzer",
    summary: "certificates of servers outside of the mesh are verified",
    codes: &["IST0128", "IST0129"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::DestinationRule) {
        let Object::DestinationRule(rule) = &resource.object else {
            continue;
        };
        let Some(policy) = &rule.traffic_policy else {
            continue;
        };
        let path = FieldPath::parse("spec.trafficPolicy");
        let of_rule = policy.tls.iter().map(|tls| (tls, path.key("tls"), None));
        let of_ports = policy.port_level_settings.iter().enumerate();
        let of_ports = of_ports.filter_map(|(position, settings)| {
            let path = path.key("portLevelSettings").index(position);
            Some((
                settings.tls.as_ref()?,
                path.key("tls"),
                Some(settings.port.number),
            ))
        });
        for (tls, path, port) in of_rule.chain(of_ports) {
            let Some(mode) = unverified(tls, rule) else {
                continue;
            };
            let host = &rule.host;
            let (code, place) = match port {
                None => ("IST0128", String::new()),
                Some(port) => ("IST0129", format!(" at port {port}")),
            };
            let mut found = finding(
                code,
                Level::Warning,
                resource,
                path.key("mode"),
                format!(
                    "TLS mode {mode} without caCertificates: the certificate of {host}{place} is not verified against any"
                ),
            );
            found.hint = Some(
                "set caCertificates, such as \"system\" for the operating system's authorities"
                    .to_owned(),
            );
            findings.push(found);
        }
    }
}

/// The mode in which a server's certificate should be verified and no authority is named.
fn unverified(tls: &ClientTls, rule: &DestinationRuleSpec) -> Option<&'static str> {
    let mode = match tls.mode {
        ClientTlsMode::Simple => "SIMPLE",
        ClientTlsMode::Mutual => "MUTUAL",
        _ => return None,
    };
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    // With a Secret the authorities come from it; sidecars read Secrets where a rule selects workloads.
    let by_secret = given(&tls.credential_name) && rule.workload_selector.is_some();
    (!given(&tls.ca_certificates) && !by_secret).then_some(mode)
}
