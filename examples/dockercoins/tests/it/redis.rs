//! A double of redis: the few commands that worker and webui send, in redis's protocol. The real one is tested in containers.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data {
    pub(crate) coins: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) hashes: u64,
}

/// A running double. Dropping it closes its port and its connections.
pub(crate) struct Redis {
    pub(crate) at: SocketAddr,
    data: Arc<Mutex<Data>>,
    _serving: JoinSet<()>,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let data = Arc::new(Mutex::new(Data::default()));
        let (mut serving, shared) = (JoinSet::new(), data.clone());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                connections.spawn(async move { serve(stream, &shared).await.err() });
            }
        });
        Self { at, data, _serving: serving }
    }

    pub(crate) fn data(&self) -> Data {
        self.data.lock().unwrap().clone()
    }
}

/// Until the connection ends. A transaction is carried out when it is complete.
async fn serve(stream: TcpStream, data: &Mutex<Data>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut transaction: Option<Vec<Vec<Vec<u8>>>> = None;
    loop {
        let words = read(&mut stream).await?;
        let answer = match (words[0].as_slice(), &mut transaction) {
            (b"MULTI", _) => {
                transaction = Some(Vec::new());
                "+OK\r\n".to_owned()
            }
            (b"EXEC", queued) => {
                let mut data = data.lock().unwrap();
                let commands = queued.take().unwrap_or_default();
                let answers: Vec<_> = commands.iter().map(|it| run(&mut data, it)).collect();
                format!("*{}\r\n{}", answers.len(), answers.concat())
            }
            (_, Some(queued)) => {
                queued.push(words);
                "+QUEUED\r\n".to_owned()
            }
            (_, None) => run(&mut data.lock().unwrap(), &words),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// One command: an array of strings.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    for _ in 0..number(stream).await? {
        let mut word = vec![0; number(stream).await?];
        stream.read_exact(&mut word).await?;
        stream.read_exact(&mut [0; 2]).await?;
        words.push(word);
    }
    Ok(words)
}

/// `*3` or `$12`.
async fn number(stream: &mut BufReader<TcpStream>) -> io::Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let digits = line.get(1..).unwrap_or_default().trim_end();
    digits.parse().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))
}

fn run(data: &mut Data, words: &[Vec<u8>]) -> String {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match words[..] {
        [b"CLIENT", ..] => "+OK\r\n".to_owned(),
        [b"INCRBY", b"hashes", count] => {
            data.hashes += std::str::from_utf8(count).unwrap().parse::<u64>().unwrap();
            format!(":{}\r\n", data.hashes)
        }
        [b"HSET", b"wallet", hash, bytes] => {
            data.coins.insert(hash.to_vec(), bytes.to_vec());
            ":1\r\n".to_owned()
        }
        [b"HLEN", b"wallet"] => format!(":{}\r\n", data.coins.len()),
        [b"GET", b"hashes"] if data.hashes == 0 => "$-1\r\n".to_owned(),
        [b"GET", b"hashes"] => {
            let digits = data.hashes.to_string();
            format!("${}\r\n{digits}\r\n", digits.len())
        }
        [b"PING"] => "+PONG\r\n".to_owned(),
        _ => format!("-ERR unknown command {:?}\r\n", String::from_utf8_lossy(words[0])),
    }
}
