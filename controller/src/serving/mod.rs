//! The certificate that this process shows to its clients: proxies on 15012, the API server on 15017.
//!
//! ```text
//! Authority --issue--> Issued --store--> ServingCertificate --resolve--> each handshake
//!                ^------- at half of its life, with jitter -------+
//! ```
//!
//! Listeners hold the resolver and never a certificate, so a new one counts for the next handshake and no connection breaks.

mod certificate;
mod rotation;

pub use certificate::{Issued, ServingCertificate};
pub use rotation::rotate;
