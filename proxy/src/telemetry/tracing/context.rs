//! Contexts of traces in the heads of requests: W3C's (`traceparent`, `tracestate`) and B3's, in several fields or in one.

use crate::http1::Fields;

/// The fields that carry contexts, which are replaced where a request is given a context of its own.
pub const FIELDS: [&str; 8] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// Longest `tracestate` that is passed on (W3C asks for at least 512 bytes).
const LONGEST_STATE: usize = 4096;

/// What a request says of the trace that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The span that caused it; none without a trace.
    pub parent: Option<Parent>,
    /// Whether the trace is recorded; none where that is not said.
    pub sampled: Option<bool>,
    /// What other tracers have told, as it came.
    pub state: Vec<u8>,
    /// Which forms it is written in.
    pub forms: Forms,
}

/// A span of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Id of the trace; 64 bits where the upper half is 0.
    pub trace: u128,
    /// Id of the span.
    pub span: u64,
}

/// Forms of contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// `traceparent`.
    pub w3c: bool,
    /// `x-b3-…`.
    pub b3: bool,
    /// `b3`.
    pub b3_single: bool,
}

/// The context that a request is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Id of the trace.
    pub trace: u128,
    /// Id of the span that sends it.
    pub span: u64,
    /// The span that caused that.
    pub parent: Option<u64>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

// === impl Incoming ===

impl Incoming {
    /// Reads the fields of a request. W3C's count first if that is preferred, else B3's.
    pub fn read(fields: Fields<'_>, prefers_w3c: bool) -> Self {
        let w3c = w3c(fields);
        let b3 = b3_single(fields).or_else(|| b3(fields));
        let forms = Forms {
            w3c: w3c.is_some(),
            b3: fields.get("x-b3-traceid").is_some() || fields.get("x-b3-sampled").is_some(),
            b3_single: fields.get("b3").is_some(),
        };
        let (first, second) = if prefers_w3c { (w3c, b3) } else { (b3, w3c) };
        let mut found = first.or(second).unwrap_or_default();
        found.forms = forms;
        found
    }
}

fn w3c(fields: Fields<'_>) -> Option<Incoming> {
    let text = std::str::from_utf8(fields.get("traceparent")?).ok()?.trim();
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    let is_whole = version != "00" || parts.next().is_none();
    let valid = version.len() == 2 && version != "ff" && hex(version).is_some() && is_whole;
    if !valid || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let parent = parent(trace, span)?;
    let state = fields.joined("tracestate");
    let state = state.filter(|state| state.len() <= LONGEST_STATE);
    Some(Incoming {
        parent: Some(parent),
        sampled: Some(hex(flags)? & 1 == 1),
        state: state.map(std::borrow::Cow::into_owned).unwrap_or_default(),
        forms: Forms::default(),
    })
}

fn b3_single(fields: Fields<'_>) -> Option<Incoming> {
    let text = std::str::from_utf8(fields.get("b3")?).ok()?.trim();
    let mut parts = text.split('-');
    let (first, span) = (parts.next()?, parts.next());
    let Some(span) = span else {
        return Some(Incoming {
            sampled: Some(sampled(first)?),
            ..Incoming::default()
        });
    };
    Some(Incoming {
        parent: Some(parent(first, span)?),
        sampled: parts.next().and_then(sampled),
        ..Incoming::default()
    })
}

fn b3(fields: Fields<'_>) -> Option<Incoming> {
    let text = |name: &str| std::str::from_utf8(fields.get(name)?).ok().map(str::trim);
    let debug = (text("x-b3-flags") == Some("1")).then_some(true);
    let sampled = debug.or_else(|| text("x-b3-sampled").and_then(sampled));
    let ids = text("x-b3-traceid").zip(text("x-b3-spanid"));
    let parent = ids.and_then(|(trace, span)| parent(trace, span));
    (parent.is_some() || sampled.is_some()).then(|| Incoming {
        parent,
        sampled,
        ..Incoming::default()
    })
}

fn sampled(text: &str) -> Option<bool> {
    match text {
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// Ids of zeros are none.
fn parent(trace: &str, span: &str) -> Option<Parent> {
    let known = matches!(trace.len(), 16 | 32) && span.len() == 16;
    let trace = hex(trace).filter(|id| known && *id != 0)?;
    let span = u64::try_from(hex(span)?).ok().filter(|id| *id != 0)?;
    Some(Parent { trace, span })
}

fn hex(text: &str) -> Option<u128> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| digits)
}

// === impl Context ===

impl Context {
    /// The fields that a request is given, in the forms that are wanted.
    pub fn fields(&self, forms: Forms, state: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let Self {
            trace,
            span,
            parent,
            sampled,
        } = *self;
        let bit = u8::from(sampled);
        let mut fields = Vec::with_capacity(4);
        if forms.w3c {
            let value = format!("00-{trace:032x}-{span:016x}-{bit:02x}");
            fields.push(("traceparent", value.into_bytes()));
            if !state.is_empty() {
                fields.push(("tracestate", state.to_vec()));
            }
        }
        let trace = if trace >> 64 == 0 {
            format!("{trace:016x}")
        } else {
            format!("{trace:032x}")
        };
        if forms.b3 {
            fields.push(("x-b3-traceid", trace.clone().into_bytes()));
            fields.push(("x-b3-spanid", format!("{span:016x}").into_bytes()));
            if let Some(parent) = parent {
                fields.push(("x-b3-parentspanid", format!("{parent:016x}").into_bytes()));
            }
            fields.push(("x-b3-sampled", vec![b'0' + bit]));
        }
        if forms.b3_single {
            let mut value = format!("{trace}-{span:016x}-{bit}");
            if let Some(parent) = parent {
                value.push_str(&format!("-{parent:016x}"));
            }
            fields.push(("b3", value.into_bytes()));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{HeadLimits, RequestHead, RequestRef};

    /// What is found in the fields of a request.
    fn fields(head: &str, look: impl FnOnce(Fields<'_>)) {
        let bytes = format!("GET / HTTP/1.1\r\nhost: a\r\n{head}\r\n");
        let mut head = RequestHead::default();
        assert!(head.parse(bytes.as_bytes(), HeadLimits::FIRST).unwrap());
        let (head, bytes) = (&head, bytes.as_bytes());
        look(RequestRef { head, bytes }.fields());
    }

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    #[track_caller]
    fn check(head: &str, expect: Option<(u128, u64)>, sampled: Option<bool>) {
        fields(head, |fields| {
            let found = Incoming::read(fields, true);
            let parent = expect.map(|(trace, span)| Parent { trace, span });
            assert_eq!((found.parent, found.sampled), (parent, sampled), "{head}");
        });
    }

    #[test]
    fn contexts_are_read() {
        let known = Some((TRACE, SPAN));
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        check(&format!("traceparent: 00-{ids}-01\r\n"), known, Some(true));
        check(&format!("traceparent: 00-{ids}-00\r\n"), known, Some(false));
        check(
            &format!("traceparent: 42-{ids}-03-more\r\n"),
            known,
            Some(true),
        );
        check(
            &format!("b3: {ids}-1-05e3ac9a4f6e3b90\r\n"),
            known,
            Some(true),
        );
        check(&format!("b3: {ids}-d\r\n"), known, Some(true));
        check(&format!("b3: {ids}\r\n"), known, None);
        check("b3: 0\r\n", None, Some(false));
        let b3 =
            "x-b3-traceid: 4bf92f3577b34da6a3ce929d0e0e4736\r\nx-b3-spanid: 00f067aa0ba902b7\r\n";
        check(&format!("{b3}x-b3-sampled: 0\r\n"), known, Some(false));
        check(&format!("{b3}x-b3-flags: 1\r\n"), known, Some(true));
        let short = "X-B3-TraceId: a3ce929d0e0e4736\r\nX-B3-SpanId: 00f067aa0ba902b7\r\n";
        check(short, Some((TRACE & u128::from(u64::MAX), SPAN)), None);
        check("x-b3-sampled: 1\r\n", None, Some(true));
    }

    #[test]
    fn what_is_no_context_is_passed_over() {
        for head in [
            "",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more\r\n",
            "traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
            "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01\r\n",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01\r\n",
            "traceparent: 00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
            "b3: x\r\n",
            "b3: 1-2-3\r\n",
            "x-b3-traceid: 4bf92f3577b34da6a3ce929d0e0e4736\r\n",
        ] {
            check(head, None, None);
        }
    }

    #[test]
    fn contexts_are_written_as_they_are_read() {
        let context = Context {
            trace: TRACE,
            span: SPAN,
            parent: Some(7),
            sampled: true,
        };
        for forms in [
            Forms {
                w3c: true,
                ..Forms::default()
            },
            Forms {
                b3: true,
                ..Forms::default()
            },
            Forms {
                b3_single: true,
                ..Forms::default()
            },
        ] {
            let written = context.fields(forms, b"a=b");
            let head: String = written
                .iter()
                .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value)))
                .collect();
            check(&head, Some((TRACE, SPAN)), Some(true));
            fields(&head, |fields| {
                let found = Incoming::read(fields, false);
                assert_eq!(found.forms, forms);
                assert_eq!(found.state, if forms.w3c { b"a=b".as_slice() } else { b"" });
            });
        }
    }
}
