//! What HTTP alone costs on a machine: a server on hyper and tokio, as the AWS listener is, that takes each SQS request whole and
//! answers with a text that was written beforehand. `cargo xtask bench queue` shows it beside the servers that decode, decide and keep.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const CONTENT: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const REQUEST_ID: HeaderValue = HeaderValue::from_static("6f1d0a52-2a1c-4d3e-9b5f-000000000001");
const TEN: usize = 10;
const ASKS_FOR_TEN: &[u8] = b"\"MaxNumberOfMessages\":10";

/// What is answered, by action.
struct Answers {
    send: Bytes,
    send_ten: Bytes,
    receive: Bytes,
    receive_ten: Bytes,
    delete_ten: Bytes,
    create: Bytes,
    counts: Bytes,
}

impl Answers {
    /// As long as those of wasmill. `body` is what the messages say.
    fn new(body: &str) -> Self {
        let md5 = wasmill_queue::checksum::md5_hex(body.as_bytes());
        let id = "c92cc087-35f2-4396-9317-afb2ceb201d6";
        let receipt = "0100000001000000000000000100000001ba51c6fba338";
        let received =
            format!(r#"{{"MessageId":"{id}","ReceiptHandle":"{receipt}","MD5OfBody":"{md5}","Body":"{body}"}}"#);
        let sent = |index| format!(r#"{{"Id":"{index}","MessageId":"{id}","MD5OfMessageBody":"{md5}"}}"#);
        let of_ten = |entry: &dyn Fn(usize) -> String| (0..TEN).map(entry).collect::<Vec<_>>().join(",");
        Self {
            send: format!(r#"{{"MessageId":"{id}","MD5OfMessageBody":"{md5}"}}"#).into(),
            send_ten: format!(r#"{{"Successful":[{}]}}"#, of_ten(&sent)).into(),
            receive: format!(r#"{{"Messages":[{received}]}}"#).into(),
            receive_ten: format!(r#"{{"Messages":[{}]}}"#, of_ten(&|_| received.clone())).into(),
            delete_ten: format!(r#"{{"Successful":[{}]}}"#, of_ten(&|index| format!(r#"{{"Id":"{index}"}}"#))).into(),
            create: Bytes::from_static(br#"{"QueueUrl":"http://127.0.0.1:9324/000000000000/queue"}"#),
            counts: Bytes::from_static(
                br#"{"Attributes":{"ApproximateNumberOfMessages":"0","ApproximateNumberOfMessagesNotVisible":"0"}}"#,
            ),
        }
    }

    fn to(&self, action: &[u8], request: &[u8]) -> Bytes {
        let asks_for_ten = || request.windows(ASKS_FOR_TEN.len()).any(|part| part == ASKS_FOR_TEN);
        match action {
            b"AmazonSQS.SendMessage" => self.send.clone(),
            b"AmazonSQS.SendMessageBatch" => self.send_ten.clone(),
            b"AmazonSQS.ReceiveMessage" if asks_for_ten() => self.receive_ten.clone(),
            b"AmazonSQS.ReceiveMessage" => self.receive.clone(),
            b"AmazonSQS.DeleteMessageBatch" => self.delete_ten.clone(),
            b"AmazonSQS.CreateQueue" => self.create.clone(),
            b"AmazonSQS.GetQueueAttributes" => self.counts.clone(),
            _ => Bytes::from_static(b"{}"),
        }
    }
}

async fn answer(answers: &Answers, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let action = parts.headers.get("x-amz-target").map_or(&b""[..], HeaderValue::as_bytes);
    let mut response = Response::new(Full::new(answers.to(action, &body)));
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response.headers_mut().insert("x-amzn-requestid", REQUEST_ID);
    Ok(response)
}

async fn connection(stream: TcpStream, answers: &Answers) {
    // A client that goes away ends its connection, and nothing else.
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(|request| answer(answers, request)))
        .await;
}

async fn serve(address: &str, answers: &'static Answers) -> std::io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, answers));
    }
}

/// `ADDRESS BODY`. Serves until it is killed.
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(body)) = (arguments.next(), arguments.next()) else {
        return Err("it takes ADDRESS BODY".into());
    };
    // For as long as the process.
    let answers: &'static Answers = Box::leak(Box::new(Answers::new(&body)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Accepting as the listener does: on a thread of the runtime, not beside it.
    runtime.block_on(async move { tokio::spawn(async move { serve(&address, answers).await }).await })??;
    Ok(())
}
