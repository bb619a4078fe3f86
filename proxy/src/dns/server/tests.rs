//! The server over real sockets, with a server of this test's own behind it.

use super::*;
use hickory_proto::op::{MessageType, OpCode, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};

fn question(id: u16, name: &str, kind: RecordType) -> Vec<u8> {
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question.to_vec().unwrap()
}

/// What the server behind says: many addresses of `many.example`, nothing about `silent.example`, and no to everything else.
fn behind(bytes: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(bytes).unwrap();
    let name = question.queries[0].name.clone();
    let mut answer = empty(&question, ResponseCode::NXDomain);
    match name.to_ascii().as_str() {
        "many.example." => {
            answer.metadata.response_code = ResponseCode::NoError;
            let record =
                |last| Record::from_rdata(name.clone(), 60, RData::A(A([192, 0, 2, last].into())));
            answer.add_answers((0..100).map(record));
        }
        "silent.example." => return None,
        _ => {}
    }
    answer.to_vec().ok()
}

async fn start() -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind(any).await.unwrap();
        // Somebody else may have the same port for TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let server = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            if let Some(answer) = behind(&buffer[..length]) {
                let cut = wire::fitting(answer, 512).unwrap();
                // What is not asked for is not taken for the answer.
                let mut other = cut.clone();
                wire::set_id(&mut other, !wire::id(&cut).unwrap());
                udp.send_to(&other, client).await.unwrap();
                udp.send_to(&cut, client).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let bytes = wire::read(&mut stream).await.unwrap();
            if let Some(answer) = behind(&bytes) {
                wire::write(&mut stream, &answer).await.unwrap();
            }
        }
    });
    let (own, address) = loop {
        let udp = UdpSocket::bind(any).await.unwrap();
        let address = udp.local_addr().unwrap();
        if let Ok(tcp) = TcpListener::bind(address).await {
            break (Server { udp, tcp }, address);
        }
    };
    let names = |name: &str| -> Option<Arc<[IpAddr]>> {
        (name == "api.example").then(|| vec![[240, 240, 0, 1].into()].into())
    };
    let upstream = Upstream::new(vec![server], Arc::new(HostView::default()));
    let search = vec!["a.svc.cluster.local".to_owned()];
    tokio::spawn(own.run(names, search, Arc::new(upstream)));
    address
}

async fn by_udp(server: SocketAddr, question: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, server).await.unwrap();
    let mut buffer = [0; wire::DATAGRAM];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn by_tcp(stream: &mut TcpStream, question: &[u8]) -> Message {
    wire::write(stream, question).await.unwrap();
    Message::from_vec(&wire::read(stream).await.unwrap()).unwrap()
}

#[tokio::test]
async fn known_names_are_answered_and_others_passed_on() {
    let server = start().await;
    let known = by_udp(server, &question(7, "api.example.", RecordType::A)).await;
    assert_eq!((known.metadata.id, known.answers.len()), (7, 1));
    let unknown = by_udp(server, &question(8, "x.example.", RecordType::A)).await;
    assert_eq!(unknown.metadata.id, 8);
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    // The server behind does not know the name, but it exists.
    let other = by_udp(server, &question(9, "api.example.", RecordType::TXT)).await;
    assert_eq!(other.metadata.response_code, ResponseCode::NoError);
    assert!(other.answers.is_empty());
}

#[tokio::test]
async fn long_answers_come_over_tcp() {
    let server = start().await;
    let asked = question(7, "many.example.", RecordType::A);
    let cut = by_udp(server, &asked).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 100);
    let mut stream = TcpStream::connect(server).await.unwrap();
    assert_eq!(by_tcp(&mut stream, &asked).await.answers.len(), 100);
    let known = by_tcp(&mut stream, &question(9, "api.example.", RecordType::A)).await;
    assert_eq!((known.metadata.id, known.answers.len()), (9, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_a_failure() {
    let server = start().await;
    let answer = by_udp(server, &question(7, "silent.example.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let server = start().await;
    let mut nonsense = question(7, "api.example.", RecordType::A);
    nonsense.truncate(20);
    let answer = by_udp(server, &nonsense).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
}
