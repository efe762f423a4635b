//! webui: the page and what it reads.

use discovery::serve::{Server, text};
use http::StatusCode;
use serde_json::json;

use crate::{
    redis::Redis,
    world::{World, eventually},
};

#[tokio::test]
async fn the_totals_and_their_history() {
    let (world, redis) = (World::new().await, Redis::start().await);
    let webui = world.start("webui", &[("REDIS", redis.at.to_string())]).await;
    let totals = webui.get("/json").await.json();
    assert_eq!((&totals["coins"], &totals["hashes"]), (&json!(0), &json!(0)));
    let now = totals["now"].as_f64().unwrap();
    assert!(now > 1.7e9, "{now} is not in seconds since 1970");
    let history = eventually(async || {
        let history = webui.get("/history").await.json();
        (history.as_array().unwrap().len() >= 2).then_some(history)
    })
    .await;
    assert!(history[0]["now"].as_f64() < history[1]["now"].as_f64(), "{history}");
    assert_eq!(history[1]["coins"], json!(0));
    assert_eq!(webui.stop().await.0, Some(0));
}

#[tokio::test]
async fn without_redis_it_says_so_and_goes_on() {
    let world = World::new().await;
    let at = testkit::ports::unused().unwrap();
    let webui = world.start("webui", &[("REDIS", at.to_string())]).await;
    let answer = webui.get("/json").await;
    assert_eq!(answer.status.as_u16(), 503);
    assert!(answer.text().starts_with("redis does not answer: "), "{}", answer.text());
    assert_eq!(webui.get("/").await.status.as_u16(), 200);

    let _redis = Redis::start_at(at).await;
    eventually(async || (webui.get("/json").await.status == StatusCode::OK).then_some(())).await;
    assert_eq!(webui.stop().await.0, Some(0));
}

#[tokio::test]
async fn each_instance_with_its_answer() {
    let mut world = World::new().await;
    let at = testkit::ports::unused().unwrap();
    world
        .serve("rng", Server::new().get("/", async |_| text(StatusCode::OK, "here\x1b[1m\n")))
        .await;
    world.serve("hasher", Server::new()).await;
    let webui = world.start("webui", &[("REDIS", at.to_string())]).await;
    let lines = eventually(async || {
        let lines = webui.get("/instances").await.json();
        (lines.as_array().unwrap().len() == 3).then_some(lines)
    })
    .await;
    let line = |at: usize| {
        let line = &lines[at];
        let all = ["service", "status", "answer"].map(|key| line[key].as_str().unwrap().to_owned());
        all.join(" | ")
    };
    assert_eq!(line(0), "webui | passing | serving");
    assert_eq!(line(1), "rng | passing | here\\u{1b}[1m");
    assert_eq!(line(2), "hasher | passing | no such path: /");
    assert_eq!(lines[0]["address"], json!(webui.at.to_string()));
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let world = World::new().await;
    let webui = world.start("webui", &[]).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = webui.get(path).await;
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'self'; img-src data:")
        );
        // The only URL is the name of SVG.
        let text = answer.text().replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{path}");
    }
}
