//! Targets without a path. Routes are chosen by paths, which these requests must not seem to have: `CONNECT` would go to whatever takes the
//! empty path, `OPTIONS *` to whatever takes every path. Both are answered as by Envoy where it is not told otherwise.

use crate::http1::Form;
use crate::worker::reply::Reply;

/// The answer to a request that no route may take.
#[inline]
pub(super) fn refusal(form: Form) -> Option<Reply<'static>> {
    match form {
        Form::Origin | Form::Absolute => None,
        Form::Authority | Form::Asterisk => Some(Reply::NO_PATH),
    }
}
