//! Configurations with equal work: connections to backends are kept and shared, `X-Forwarded-For` is set, and nothing is logged, checked or written
//! to disk.

use std::{net::SocketAddr, path::Path};

/// Connections that each proxy has room for.
pub(crate) const CONNECTIONS_MAX: usize = 4096;
/// Idle connections to backends that nginx keeps, as many as the largest row needs. The other two have no limit below it.
const KEPT: usize = 64;

/// What a proxy serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub(crate) threads: usize,
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) backends: [SocketAddr; 2],
}

pub(crate) fn haproxy(service: &Service) -> String {
    let Service { threads, tcp, http, backends: [a, b] } = service;
    format!(
        "\
global
    nbthread {threads}
    maxconn {CONNECTIONS_MAX}
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen tcp
    mode tcp
    bind {tcp}
    server a {a}
    server b {b}
listen http
    mode http
    bind {http}
    http-reuse always
    option forwardfor
    server a {a}
    server b {b}
"
    )
}

/// Connections are kept for any number of requests, as the other two keep them.
pub(crate) fn nginx(service: &Service, dir: &Path) -> String {
    let Service { threads, http, backends: [a, b], .. } = service;
    let dir = dir.display();
    format!(
        "\
daemon off;
worker_processes {threads};
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    proxy_max_temp_file_size 0;
    upstream backends {{
        server {a};
        server {b};
        keepalive {KEPT};
        keepalive_requests 1000000000;
    }}
    server {{
        listen {http} reuseport;
        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"
    )
}
