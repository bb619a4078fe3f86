//! Bodies in protobuf.

use serde_json::Value;

use super::status::Status;

pub fn decode(_body: &[u8]) -> Result<Value, Status> {
    Err(Status::unsupported_media(
        "protobuf bodies are not understood: use JSON",
    ))
}
