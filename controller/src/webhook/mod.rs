//! The admission webhooks that the API server calls on port 15017.
//!
//! ```text
//! API server --TLS--> server --Review--> /validate: validate.rs --> findings of the kind's one compiler
//!                                    +-> /inject:   inject.rs   --> JSON patch   (settings.rs: the injector's ConfigMaps)
//! leader --configuration.rs--> webhook configurations: CA bundle; `failurePolicy` of validation
//! ```
//!
//! The answers are pure functions of the request and the settings; only the server does I/O.

mod review;

mod inject;
mod validate;

mod configuration;
mod server;
mod settings;

pub use configuration::{Names, keep as keep_configurations};
pub use server::Webhooks;
pub use settings::{Settings, watch as watch_settings};
