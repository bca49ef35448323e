//! The smallest answerer of HTTP/1.1 that monitoring systems need: one GET for each connection, three paths.
//! No web server: nothing of a request but its first line is read, and no file is ever served.
//! Always: so many connections at once, so many bytes and so much time for each, and no more.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tenon_base::{Machine, Report, Reported};
use tokio::net::TcpStream;

use crate::worker::Shared;

/// Connections answered at once; one more is closed unheard.
const CONNECTIONS_MAX: u32 = 16;
/// What a request may be long, all lines together.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// What is read of one that is too long, before its connection is closed without an answer.
const READ_BYTES_MAX: usize = 64 * 1024;
/// From the first byte to the last.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Connections being answered at one address.
#[derive(Default)]
pub(crate) struct Answering(Rc<Cell<u32>>);

/// One of them, counted as long as it lives.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Answering {
    /// Answers one connection, unless there are too many.
    pub(crate) fn begin<M: Machine + 'static>(&self, worker: &Shared<M>, stream: TcpStream) {
        if self.0.get() >= CONNECTIONS_MAX {
            return;
        }
        self.0.set(self.0.get() + 1);
        let (worker, counted) = (Rc::clone(worker), Counted(Rc::clone(&self.0)));
        tokio::task::spawn_local(async move {
            // Whoever is too slow or hangs up goes without an answer.
            let _ = tokio::time::timeout(TIME_MAX, converse(&worker, &stream, Vec::new())).await;
            drop(counted);
        });
    }
}

async fn converse<M: Machine + 'static>(
    worker: &Shared<M>,
    stream: &TcpStream,
    mut head: Vec<u8>,
) -> io::Result<()> {
    while !is_whole(&head) {
        if head.len() > READ_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.readable().await?;
        let mut block = [0; 1024];
        match stream.try_read(&mut block) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => head.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let response = match Request::of(&head) {
        Ok(request) => match request.route() {
            Route::Report(report) => request.response(reported(worker.borrow_mut().report(report))),
            Route::Known(response) => request.response(response),
        },
        Err(response) => response,
    };
    send(stream, &response.bytes()).await
}

async fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        stream.writable().await?;
        match stream.try_write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a request's lines are there up to the empty one. One that is too long is read to its end, too, so that the
/// answer is heard.
fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|window| window == b"\r\n\r\n")
}

/// A connection that is answered in the middle of long work: nothing here waits.
pub(crate) struct Visitor {
    socket: std::net::TcpStream,
    head: Vec<u8>,
    /// What it asks the machine for.
    request: Option<Request>,
    answer: Option<Vec<u8>>,
    until: Instant,
}

/// How far a visit has come.
pub(crate) enum Visit {
    Waits,
    Asks(Report),
    Over,
}

impl Visitor {
    /// A connection that has not said anything yet, on a socket that does not wait.
    pub(crate) fn new(socket: std::net::TcpStream) -> Visitor {
        Visitor { socket, head: Vec::new(), request: None, answer: None, until: Instant::now() + TIME_MAX }
    }

    /// Reads and writes what can be read and written now.
    pub(crate) fn attend(&mut self) -> Visit {
        if Instant::now() > self.until {
            return Visit::Over;
        }
        match self.proceed() {
            Ok(visit) => visit,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Visit::Waits,
            Err(_) => Visit::Over,
        }
    }

    fn proceed(&mut self) -> io::Result<Visit> {
        while self.answer.is_none() && !is_whole(&self.head) {
            let mut block = [0; 1024];
            match self.socket.read(&mut block)? {
                0 => return Ok(Visit::Over),
                count => self.head.extend_from_slice(&block[..count]),
            }
            if self.head.len() > READ_BYTES_MAX {
                return Ok(Visit::Over);
            }
        }
        if self.answer.is_none() {
            match Request::of(&self.head) {
                Ok(request) => match request.route() {
                    Route::Report(report) => {
                        self.request = Some(request);
                        return Ok(Visit::Asks(report));
                    }
                    Route::Known(response) => self.answer = Some(request.response(response).bytes()),
                },
                Err(response) => self.answer = Some(response.bytes()),
            }
        }
        let Some(answer) = &mut self.answer else { return Ok(Visit::Waits) };
        while !answer.is_empty() {
            let count = self.socket.write(answer)?;
            answer.drain(..count);
        }
        Ok(Visit::Over)
    }

    /// What the machine says.
    pub(crate) fn answer(&mut self, report: Reported) {
        if let Some(request) = self.request.take() {
            self.answer = Some(request.response(reported(Some(report))).bytes());
        }
    }

    /// The work is over: the rest of the conversation is a task's.
    pub(crate) fn resume<M: Machine + 'static>(self, worker: &Shared<M>) {
        let Ok(stream) = TcpStream::from_std(self.socket) else { return };
        let worker = Rc::clone(worker);
        tokio::task::spawn_local(async move {
            let talk = async {
                match &self.answer {
                    Some(rest) => send(&stream, rest).await,
                    None => converse(&worker, &stream, self.head).await,
                }
            };
            // Whoever is too slow or hangs up goes without an answer.
            let _ = tokio::time::timeout(TIME_MAX, talk).await;
        });
    }
}

/// What the first line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    is_head: bool,
    is_get: bool,
    path: String,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Request> {
        let line = head.split(|byte| *byte == b'\r').next()?;
        let mut words = str::from_utf8(line).ok()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") || words.next().is_some() {
            return None;
        }
        let path = target.split('?').next()?.to_owned();
        Some(Request { is_head: method == "HEAD", is_get: method == "GET", path })
    }
}

/// Who answers a request.
enum Route {
    /// The machine.
    Report(Report),
    /// Nobody needs to be asked.
    Known(Response),
}

impl Request {
    /// What a whole head asks for, or the answer to one that cannot be understood.
    fn of(head: &[u8]) -> Result<Request, Response> {
        if head.len() > HEAD_BYTES_MAX {
            return Err(Response::plain("431 Request Header Fields Too Large", "the request is too long\n"));
        }
        Request::parse(head).ok_or_else(|| Response::plain("400 Bad Request", "this is no HTTP request\n"))
    }

    fn route(&self) -> Route {
        if !self.is_get && !self.is_head {
            return Route::Known(Response::plain(
                "405 Method Not Allowed",
                "only GET and HEAD are answered\n",
            ));
        }
        match self.path.as_str() {
            // Whoever answers is alive: this runs between two turns of the machine, or in the midst of long work.
            "/health" => Route::Known(Response::plain("200 OK", "ok\n")),
            "/ready" => Route::Report(Report::Readiness),
            "/metrics" => Route::Report(Report::Metrics),
            "/" => Route::Known(Response::plain("200 OK", "/metrics /health /ready\n")),
            _ => Route::Known(Response::plain("404 Not Found", "there are /metrics, /health and /ready\n")),
        }
    }

    /// The answer as it was asked for.
    fn response(&self, mut response: Response) -> Response {
        response.has_body = self.is_get || !self.is_head;
        response
    }
}

fn reported(reported: Option<Reported>) -> Response {
    match reported {
        Some(reported) if reported.is_good => Response::plain("200 OK", reported.text),
        Some(reported) => Response::plain("503 Service Unavailable", reported.text),
        None => Response::plain("500 Internal Server Error", "the engine stopped\n"),
    }
}

struct Response {
    status: &'static str,
    text: String,
    has_body: bool,
}

impl Response {
    fn plain(status: &'static str, text: impl Into<String>) -> Response {
        Response { status, text: text.into(), has_body: true }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            self.text.len()
        )
        .into_bytes();
        if self.has_body {
            bytes.extend_from_slice(self.text.as_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_read_strictly() {
        let parse = |text: &str| Request::parse(text.as_bytes());
        let request = parse("GET /metrics?name=a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(request, Request { is_head: false, is_get: true, path: "/metrics".to_owned() });
        assert!(parse("HEAD / HTTP/1.0\r\n\r\n").unwrap().is_head);
        for bad in
            ["", "GET", "GET /", "GET / HTTP/2\r\n", "GET  / HTTP/1.1\r\n", "GET / HTTP/1.1 x\r\n", "*1\r\n"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(Request::parse(b"GET /\xff HTTP/1.1\r\n"), None);
    }

    #[test]
    fn a_response_to_head_has_the_length_and_no_body() {
        let mut response = Response::plain("200 OK", "ok\n");
        assert!(response.bytes().ends_with(b"close\r\n\r\nok\n"));
        response.has_body = false;
        let bytes = String::from_utf8(response.bytes()).unwrap();
        assert!(bytes.contains("Content-Length: 3\r\n") && bytes.ends_with("close\r\n\r\n"), "{bytes}");
    }
}
