//! Google Cloud Storage's XML protocol, as far as fake-gcs-server has none.
//!
//! The client writes by that protocol only, and fake-gcs-server 1.54 answers each of its uploads (`PUT`, and `POST`
//! with `?uploads`) with 400 "invalid uploadType". This front takes the uploads and writes them by the JSON protocol;
//! parts are kept here until their upload is completed. It answers a condition that does not hold with 412, as
//! Google does, and is as strict about parts: their least size, their order, their tags. All else goes to the server
//! as it came: reads, ranges, conditions of reads, lists, deletions.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What Google takes least in a part, but for the last one.
const SMALLEST: usize = 5 << 20;

/// The parts of an upload by number, each with its tag.
type Parts = BTreeMap<u32, (String, Vec<u8>)>;

#[derive(Default)]
struct State {
    /// By id.
    uploads: Mutex<BTreeMap<String, Parts>>,
    /// Held while a condition is looked at and what hangs on it is written.
    writing: Mutex<()>,
}

/// Opens a port that stands for Google's in front of the server at this one.
pub fn front(upstream: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::new(State::default());
    // Ends with the process.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            // A connection that breaks is the client's to tell.
            thread::spawn(move || serve(client, upstream, &state));
        }
    });
    port
}

struct Request {
    /// Method, path, query.
    line: (String, String, String),
    /// Names in lower case.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(client: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |it| it.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Self {
            line: (method, path.to_owned(), query.to_owned()),
            headers,
            body,
        })
    }

    /// A field of the query.
    fn field(&self, name: &str) -> Option<&str> {
        let fields = self.line.2.split('&');
        fields
            .filter_map(|it| it.split_once('='))
            .find_map(|(found, value)| (found == name).then_some(value))
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn refusal(status: &str, code: &str) -> Vec<u8> {
    answer(status, "", &format!("<Error><Code>{code}</Code></Error>"))
}

fn serve(mut client: TcpStream, upstream: u16, state: &State) -> io::Result<()> {
    let request = Request::read(&client)?;
    let (method, path, _) = &request.line;
    let upload = request.field("uploadId");
    let answer = match (method.as_str(), upload) {
        ("POST", None) if request.field("uploads").is_some() => begin(state),
        ("PUT", Some(id)) => part(state, id, &request),
        ("POST", Some(id)) => complete(state, upstream, id, &request)?,
        ("DELETE", Some(id)) => {
            state.uploads.lock().unwrap().remove(id);
            answer("204 No Content", "", "")
        }
        ("PUT", None) => write(state, upstream, &request, &request.body)?,
        _ => ask(upstream, method, path, &request.line.2, &request)?,
    };
    client.write_all(&answer)
}

fn begin(state: &State) -> Vec<u8> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut uploads = state.uploads.lock().unwrap();
    let id = format!("upload-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    uploads.insert(id.clone(), Parts::new());
    let body = format!(
        "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
    );
    answer("200 OK", "", &body)
}

fn part(state: &State, id: &str, request: &Request) -> Vec<u8> {
    let mut uploads = state.uploads.lock().unwrap();
    let Some(parts) = uploads.get_mut(id) else {
        return refusal("404 Not Found", "NoSuchUpload");
    };
    let number = request.field("partNumber").unwrap().parse().unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &request.body);
    let tag = format!("\"{:02x?}\"", &digest.as_ref()[..8]).replace(['[', ']', ',', ' '], "");
    parts.insert(number, (tag.clone(), request.body.clone()));
    answer("200 OK", &format!("ETag: {tag}\r\n"), "")
}

fn complete(state: &State, upstream: u16, id: &str, request: &Request) -> io::Result<Vec<u8>> {
    let Some(parts) = state.uploads.lock().unwrap().get(id).cloned() else {
        return Ok(refusal("404 Not Found", "NoSuchUpload"));
    };
    let named = String::from_utf8_lossy(&request.body).into_owned();
    let named: Vec<(u32, &str)> = named
        .split("<Part>")
        .skip(1)
        .map(|it| {
            let number = between(it, "<PartNumber>", "</PartNumber>");
            (number.parse().unwrap(), between(it, "<ETag>", "</ETag>"))
        })
        .collect();
    let mut whole = Vec::new();
    for (at, (number, tag)) in named.iter().enumerate() {
        match parts.get(number) {
            Some((known, bytes)) if known == tag => {
                if bytes.len() < SMALLEST && at + 1 < named.len() {
                    return Ok(refusal("400 Bad Request", "EntityTooSmall"));
                }
                whole.extend_from_slice(bytes);
            }
            _ => return Ok(refusal("400 Bad Request", "InvalidPart")),
        }
    }
    if !named.is_sorted() || named.is_empty() {
        return Ok(refusal("400 Bad Request", "InvalidPartOrder"));
    }
    let written = write(state, upstream, request, &whole)?;
    let head = String::from_utf8_lossy(&written).into_owned();
    if !head.starts_with("HTTP/1.1 200") {
        return Ok(written);
    }
    state.uploads.lock().unwrap().remove(id);
    let tag = between(&head, "ETag: ", "\r\n");
    let body = format!(
        "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
    );
    Ok(answer("200 OK", "", &body))
}

/// Writes an object by the JSON protocol, if the request's condition holds.
fn write(state: &State, upstream: u16, request: &Request, body: &[u8]) -> io::Result<Vec<u8>> {
    let (_, path, _) = &request.line;
    let (bucket, name) = path[1..].split_once('/').unwrap();
    let _alone = state.writing.lock().unwrap();
    if let Some(wanted) = request.headers.get("x-goog-if-generation-match") {
        assert_eq!(wanted, "0", "the only condition that is known here");
        let plain = Request {
            line: (String::new(), String::new(), String::new()),
            headers: BTreeMap::new(),
            body: Vec::new(),
        };
        if ask(upstream, "HEAD", path, "", &plain)?.starts_with(b"HTTP/1.1 200") {
            return Ok(refusal("412 Precondition Failed", "PreconditionFailed"));
        }
    }
    let upload = Request {
        line: (String::new(), String::new(), String::new()),
        headers: BTreeMap::from([(
            "content-type".to_owned(),
            "application/octet-stream".to_owned(),
        )]),
        body: body.to_vec(),
    };
    let target = format!("/upload/storage/v1/b/{bucket}/o");
    let query = format!("uploadType=media&name={name}");
    let written = ask(upstream, "POST", &target, &query, &upload)?;
    let written = String::from_utf8_lossy(&written).into_owned();
    if !written.starts_with("HTTP/1.1 200") {
        return Ok(written.into_bytes());
    }
    let tag = between(&written, "\"etag\":\"", "\"");
    let generation = between(&written, "\"generation\":\"", "\"");
    let headers = format!("ETag: \"{tag}\"\r\nx-goog-generation: {generation}\r\n");
    Ok(answer("200 OK", &headers, ""))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |it| it.1);
    rest.split_once(after).map_or("", |it| it.0)
}

/// Asks the server, with the headers and body of this request.
fn ask(
    upstream: u16,
    method: &str,
    path: &str,
    query: &str,
    request: &Request,
) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    let mut head = format!("{method} {path}?{query} HTTP/1.1\r\n");
    if !request.headers.contains_key("host") {
        head += &format!("host: 127.0.0.1:{upstream}\r\n");
    }
    for (name, value) in &request.headers {
        match name.as_str() {
            "connection" | "content-length" => {}
            // The server answers only for the name that it was started with.
            "host" => head += &format!("host: 127.0.0.1:{upstream}\r\n"),
            _ => head += &format!("{name}: {value}\r\n"),
        }
    }
    head += &format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        request.body.len()
    );
    server.write_all(head.as_bytes())?;
    server.write_all(&request.body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}
