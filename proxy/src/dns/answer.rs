//! What becomes of a question: answered by what the control plane knows, or passed on. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// How long answers may be kept, in seconds; as Istio's.
const TTL: u32 = 30;

/// What becomes of a question.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// This is the answer.
    Answer(Box<Message>),
    /// Another server is asked. A name that `exists` here exists, even if that server says otherwise.
    Upstream { exists: bool },
}

/// Decides about a question by what is known of lower-case names.
pub(super) fn decide(
    find: impl Fn(&str) -> Option<Arc<[IpAddr]>>,
    search: &[String],
    question: &Message,
) -> Verdict {
    let refuse = |code| Verdict::Answer(Box::new(empty(question, code)));
    if question.metadata.op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    let ([query], MessageType::Query) =
        (question.queries.as_slice(), question.metadata.message_type)
    else {
        return refuse(ResponseCode::FormErr);
    };
    let asked = query.name.to_ascii().to_ascii_lowercase();
    let asked = asked.trim_end_matches('.');
    let Some((completed, addresses)) = known(find, search, asked) else {
        return Verdict::Upstream { exists: false };
    };
    if query.query_class != DNSClass::IN
        || !matches!(query.query_type, RecordType::A | RecordType::AAAA)
    {
        return Verdict::Upstream { exists: true };
    }
    let mut answer = empty(question, ResponseCode::NoError);
    answer.metadata.authoritative = true;
    answer.add_answers(records(query, completed, &addresses, question.metadata.id));
    Verdict::Answer(Box::new(answer))
}

/// The addresses of a name, and the name that a search domain has completed, where it is one.
fn known<'n>(
    find: impl Fn(&str) -> Option<Arc<[IpAddr]>>,
    search: &[String],
    asked: &'n str,
) -> Option<(Option<&'n str>, Arc<[IpAddr]>)> {
    if let Some(addresses) = find(asked) {
        return Some((None, addresses));
    }
    search.iter().find_map(|domain| {
        let name = asked.strip_suffix(&**domain)?.strip_suffix('.')?;
        Some((Some(name), find(name)?))
    })
}

/// The records of a question's type, beginning with another one each time. A completed name is an alias.
fn records(query: &Query, completed: Option<&str>, addresses: &[IpAddr], turn: u16) -> Vec<Record> {
    let matching = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if query.query_type == RecordType::A => Some(RData::A(A(*address))),
        IpAddr::V6(address) if query.query_type == RecordType::AAAA => {
            Some(RData::AAAA(AAAA(*address)))
        }
        _ => None,
    });
    let mut data: Vec<RData> = matching.collect();
    if data.is_empty() {
        return Vec::new();
    }
    let first = usize::from(turn) % data.len();
    data.rotate_left(first);
    let alias = completed.and_then(|name| Name::from_ascii([name, "."].concat()).ok());
    let owner = alias.clone().unwrap_or_else(|| query.name.clone());
    let alias =
        alias.map(|name| Record::from_rdata(query.name.clone(), TTL, RData::CNAME(CNAME(name))));
    let addresses = data
        .into_iter()
        .map(|data| Record::from_rdata(owner.clone(), TTL, data));
    alias.into_iter().chain(addresses).collect()
}

/// An answer without records.
pub(super) fn empty(question: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.response_code = code;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(question.queries.iter().cloned());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: RecordType) -> Message {
        let mut question = Message::new(0, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        question
    }

    fn ask(name: &str, kind: RecordType) -> Verdict {
        let web: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let both: [IpAddr; 2] = ["240.240.0.1".parse().unwrap(), "2001:2::1".parse().unwrap()];
        let find = |name: &str| match name {
            "web.a.svc.cluster.local" => Some(web.into()),
            "api.example" => Some(both.into()),
            _ => None,
        };
        let search = [
            "a.svc.cluster.local".to_owned(),
            "svc.cluster.local".to_owned(),
        ];
        decide(find, &search, &question(name, kind))
    }

    #[track_caller]
    fn shown(verdict: Verdict) -> Vec<String> {
        let Verdict::Answer(answer) = verdict else {
            panic!("not answered");
        };
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        // As others read it.
        let answer = Message::from_vec(&answer.to_vec().unwrap()).unwrap();
        let records = answer.answers.iter();
        records
            .map(|record| format!("{} {}", record.name, record.data))
            .collect()
    }

    #[test]
    fn known_names_are_answered() {
        assert_eq!(
            shown(ask("WEB.a.svc.cluster.local.", RecordType::A)),
            [
                "WEB.a.svc.cluster.local. 10.0.0.1",
                "WEB.a.svc.cluster.local. 10.0.0.2"
            ]
        );
        assert_eq!(
            shown(ask("api.example.", RecordType::AAAA)),
            ["api.example. 2001:2::1"]
        );
        let none = shown(ask("web.a.svc.cluster.local.", RecordType::AAAA));
        assert!(none.is_empty(), "the name exists, without such an address");
    }

    #[test]
    fn names_that_search_domains_complete_are_aliases() {
        assert_eq!(
            shown(ask("api.example.svc.cluster.local.", RecordType::A)),
            [
                "api.example.svc.cluster.local. api.example.",
                "api.example. 240.240.0.1"
            ]
        );
    }

    #[test]
    fn the_rest_is_for_others() {
        for (name, kind, exists) in [
            ("other.example.", RecordType::A, false),
            ("api.example.", RecordType::SRV, true),
            ("xapi.example.", RecordType::A, false),
            ("a.svc.cluster.local.", RecordType::A, false),
            (".", RecordType::NS, false),
        ] {
            assert_eq!(ask(name, kind), Verdict::Upstream { exists }, "{name}");
        }
    }

    #[test]
    fn addresses_take_turns() {
        let addresses: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let mut asked = question("x.", RecordType::A);
        asked.metadata.id = 1;
        let answer = shown(decide(|_| Some(addresses.into()), &[], &asked));
        assert_eq!(answer, ["x. 10.0.0.2", "x. 10.0.0.1"]);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let mut update = question("x.", RecordType::A);
        update.metadata.op_code = OpCode::Update;
        let mut two = question("x.", RecordType::A);
        two.add_query(two.queries[0].clone());
        for (message, code) in [(update, ResponseCode::NotImp), (two, ResponseCode::FormErr)] {
            let Verdict::Answer(answer) = decide(|_| None, &[], &message) else {
                panic!("passed on");
            };
            assert_eq!(answer.metadata.response_code, code);
        }
    }
}
