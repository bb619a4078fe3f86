//! What the HTTP connection manager believes of what clients say about themselves and those before them.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager as HcmProto, http_connection_manager,
};
use envoy_types::pb::google::protobuf::BoolValue;
use http_connection_manager::{
    ForwardClientCertDetails, SetCurrentClientCertDetails, StripPortMode,
};
use mesh_ir::{CertificateDetails, ForwardClientCertificate, StripPort, Trust};

use super::border::{At, InvalidResource};
use super::values;

const FORWARD: [(ForwardClientCertificate, ForwardClientCertDetails); 5] = [
    (
        ForwardClientCertificate::Sanitize,
        ForwardClientCertDetails::Sanitize,
    ),
    (
        ForwardClientCertificate::Forward,
        ForwardClientCertDetails::ForwardOnly,
    ),
    (
        ForwardClientCertificate::AppendForward,
        ForwardClientCertDetails::AppendForward,
    ),
    (
        ForwardClientCertificate::SanitizeSet,
        ForwardClientCertDetails::SanitizeSet,
    ),
    (
        ForwardClientCertificate::AlwaysForward,
        ForwardClientCertDetails::AlwaysForwardOnly,
    ),
];

/// The fields of the manager that make up a [`Trust`].
pub(super) struct TrustFields {
    pub(super) use_remote_address: Option<BoolValue>,
    pub(super) xff_num_trusted_hops: u32,
    pub(super) skip_xff_append: bool,
    pub(super) forward_client_cert_details: i32,
    pub(super) set_current_client_cert_details: Option<SetCurrentClientCertDetails>,
    pub(super) strip_matching_host_port: bool,
    pub(super) strip_port_mode: Option<StripPortMode>,
    pub(super) strip_trailing_host_dot: bool,
}

pub(super) fn put(proto: &mut HcmProto, value: &Trust) {
    let Trust {
        use_remote_address,
        trusted_hops,
        skip_forwarded_for,
        client_certificate,
        certificate_details,
        strip_port,
        strip_trailing_dot,
    } = value;
    proto.use_remote_address = values::bool_value(*use_remote_address);
    proto.xff_num_trusted_hops = *trusted_hops;
    proto.skip_xff_append = *skip_forwarded_for;
    proto.forward_client_cert_details = FORWARD
        .iter()
        .find(|(known, _)| known == client_certificate)
        .map_or(ForwardClientCertDetails::Sanitize, |(_, proto)| *proto)
        .into();
    proto.set_current_client_cert_details = details(certificate_details);
    match strip_port {
        StripPort::Never => {}
        StripPort::Matching => proto.strip_matching_host_port = true,
        StripPort::Any => proto.strip_port_mode = Some(StripPortMode::StripAnyHostPort(true)),
    }
    proto.strip_trailing_host_dot = *strip_trailing_dot;
}

fn details(value: &CertificateDetails) -> Option<SetCurrentClientCertDetails> {
    let CertificateDetails {
        subject,
        issuer,
        certificate,
        chain,
        dns,
        uri,
    } = *value;
    (*value != CertificateDetails::default()).then(|| SetCurrentClientCertDetails {
        subject: subject.then_some(true).and_then(values::bool_value),
        issuer,
        cert: certificate,
        chain,
        dns,
        uri,
        ..SetCurrentClientCertDetails::default()
    })
}

pub(super) fn from_proto(fields: TrustFields, at: &At<'_>) -> Result<Trust, InvalidResource> {
    let TrustFields {
        use_remote_address,
        xff_num_trusted_hops,
        skip_xff_append,
        forward_client_cert_details,
        set_current_client_cert_details,
        strip_matching_host_port,
        strip_port_mode,
        strip_trailing_host_dot,
    } = fields;
    let client_certificate = FORWARD
        .iter()
        .find(|(_, proto)| i32::from(*proto) == forward_client_cert_details)
        .map(|(known, _)| *known)
        .ok_or_else(|| at.field("forward_client_cert_details").unsupported())?;
    Ok(Trust {
        use_remote_address: values::is_true(use_remote_address),
        trusted_hops: xff_num_trusted_hops,
        skip_forwarded_for: skip_xff_append,
        client_certificate,
        certificate_details: from_details(
            set_current_client_cert_details.unwrap_or_default(),
            &at.field("set_current_client_cert_details"),
        )?,
        strip_port: match (strip_matching_host_port, strip_port_mode) {
            (_, Some(StripPortMode::StripAnyHostPort(true))) => StripPort::Any,
            (true, _) => StripPort::Matching,
            (false, None | Some(StripPortMode::StripAnyHostPort(false))) => StripPort::Never,
        },
        strip_trailing_dot: strip_trailing_host_dot,
    })
}

fn from_details(
    proto: SetCurrentClientCertDetails,
    at: &At<'_>,
) -> Result<CertificateDetails, InvalidResource> {
    open!(at, proto => SetCurrentClientCertDetails {
        keep { subject, cert, chain, dns, uri, issuer }
        refuse { format }
        ignore {}
    });
    Ok(CertificateDetails {
        subject: values::is_true(subject),
        issuer,
        certificate: cert,
        chain,
        dns,
        uri,
    })
}
