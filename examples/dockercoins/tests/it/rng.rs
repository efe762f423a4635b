//! rng.

use http::Method;

use crate::world::World;

#[tokio::test]
async fn a_number_of_bytes_or_the_reason_why_not() {
    let world = World::new().await;
    let rng = world.start("rng", &[]).await;
    for (path, bytes) in [("/32", 32), ("/0", 0), ("/007", 7), ("/65536", 65536)] {
        let answer = rng.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, bytes), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"), "{path}");
    }
    for path in [
        "/abc",
        "/65537",
        "/99999999",
        "/99999999999999999999999",
        "/-1",
        "/+1",
        "/1.5",
        "/1/2",
        "//",
        "/%31",
    ] {
        let answer = rng.get(path).await;
        let answered = (answer.status.as_u16(), answer.text());
        assert_eq!(answered, (400, "expected GET /N, with N from 0 to 65536 bytes\n"), "{path}");
    }
    let posted = rng.ask(Method::POST, "/32", "").await;
    assert_eq!(
        (posted.status.as_u16(), posted.text()),
        (405, "POST is not for this path: GET, HEAD\n")
    );
    assert!(rng.get("/").await.text().starts_with("RNG running on "));
    assert_eq!(rng.stop().await.0, Some(0));
}

#[tokio::test]
async fn no_answer_is_like_another() {
    let world = World::new().await;
    let rng = world.start("rng", &[]).await;
    assert_ne!(rng.get("/32").await.body, rng.get("/32").await.body);
}
