//! The gateway: the events it makes of requests, the HTTP responses it makes of functions'
//! responses, and its errors.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local::gateway::{BODY_MAX_BYTES, CORS, INTEGRATION_TIMEOUT};
use local::guard::Allowed;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::probe::ProbeListener;
use crate::served_gateway::{serve, serve_allowing};

async fn assert_refused(response: reqwest::Response, status: u16, message: &str) {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("apigw-requestid"));
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body, json!({"message": message}));
}

#[tokio::test]
async fn a_request_becomes_an_event_of_format_2() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    let host = served.address.to_string();
    // Without a client, which would add headers.
    let request = format!(
        "POST /operations/op%20%C3%A4%2F1/cancel?tag=a&tag=b%20c&plain HTTP/1.1\r\n\
         Host: {host}\r\n\
         Authorization: Bearer alice\r\n\
         Connection: close\r\n\
         Content-Length: 7\r\n\
         Content-Type: application/json; charset=utf-8\r\n\
         Cookie: first=1; second=2\r\n\
         Cookie: third=3\r\n\
         User-Agent: test/1\r\n\
         X-Forwarded-For: 203.0.113.9\r\n\
         X-Twice: one\r\n\
         X-Twice: two\r\n\
         \r\n\
         {{\"a\":1}}"
    );
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let event: Value = serde_json::from_str(body).unwrap();
    let request_id = event["requestContext"]["requestId"].as_str().unwrap();
    assert!(
        head.contains(&format!("apigw-requestid: {request_id}")),
        "{head}"
    );
    assert_eq!(
        event,
        json!({
            "version": "2.0",
            "routeKey": "ANY /operations/{id}/cancel",
            "rawPath": "/operations/op ä/1/cancel",
            "rawQueryString": "tag=a&tag=b%20c&plain",
            "cookies": ["first=1", "second=2", "third=3"],
            "headers": {
                "authorization": "Bearer alice",
                "content-length": "7",
                "content-type": "application/json; charset=utf-8",
                "host": host,
                "user-agent": "test/1",
                "x-forwarded-for": "203.0.113.9, 127.0.0.1",
                "x-forwarded-port": served.address.port().to_string(),
                "x-forwarded-proto": "http",
                "x-twice": "one,two",
            },
            "queryStringParameters": {"tag": "a,b c", "plain": ""},
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "authorizer": {"lambda": {"local_owner": "alice"}},
                "domainName": host,
                "domainPrefix": "127",
                "http": {
                    "method": "POST",
                    "path": "/operations/op ä/1/cancel",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "test/1",
                },
                "requestId": request_id,
                "routeKey": "ANY /operations/{id}/cancel",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_584_039_838_390_i64,
            },
            "pathParameters": {"id": "op ä/1"},
            "body": "{\"a\":1}",
            "isBase64Encoded": false,
        })
    );
}

#[tokio::test]
async fn an_event_has_no_members_for_absent_parts_of_a_request() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    let event = served.event(served.request("GET", "/operations")).await;
    for absent in ["cookies", "queryStringParameters", "pathParameters", "body"] {
        assert!(event.get(absent).is_none(), "{absent}");
    }
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["isBase64Encoded"], false);
}

#[tokio::test]
async fn a_body_is_text_for_text_types_and_base64_for_all_others() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    let binary: &[u8] = &[0xff, 0x00];
    for (content_type, body, is_text) in [
        (Some("application/json"), "{}".as_bytes(), true),
        (Some("Application/JSON ; charset=utf-8"), b"not json", true),
        (Some("text/csv"), "ä".as_bytes(), true),
        (Some("application/xml"), b"<a/>", true),
        (Some("application/json"), binary, false),
        (Some("application/problem+json"), b"{}", false),
        (Some("application/x-www-form-urlencoded"), b"a=1", false),
        (Some("application/octet-stream"), b"abc", false),
        (None, b"{}", false),
    ] {
        let mut request = served.request("PUT", "/operations").body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let event = served.event(request).await;
        let expected = if is_text {
            String::from_utf8(body.to_vec()).unwrap()
        } else {
            STANDARD.encode(body)
        };
        assert_eq!(event["isBase64Encoded"], !is_text, "{content_type:?}");
        assert_eq!(event["body"], expected, "{content_type:?}");
    }
}

#[tokio::test]
async fn a_route_reaches_its_function_and_a_path_without_a_route_is_404() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    for (method, expected) in [("POST", "submit"), ("PUT", "status")] {
        let request = served
            .request(method, "/operations")
            .header("content-type", "application/json")
            .body(json!({"probe": "environment"}).to_string());
        let environment = served.event(request).await;
        assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], expected);
    }
    for path in [
        "/",
        "/operations/",
        "//operations",
        "/operations//cancel",
        "/other",
    ] {
        let response = served.request("GET", path).send().await.unwrap();
        assert_refused(response, 404, "Not Found").await;
    }
}

#[tokio::test]
async fn a_request_names_its_owner_and_health_needs_none() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    let owner = |event: Value| event["requestContext"]["authorizer"].clone();
    let anonymous = served.event(served.request("GET", "/functions")).await;
    assert_eq!(
        owner(anonymous),
        json!({"lambda": {"local_owner": "anonymous"}})
    );

    let malformed = |path| {
        served
            .request("GET", path)
            .header("authorization", "Basic YTpi")
    };
    let response = malformed("/functions").send().await.unwrap();
    assert_refused(response, 401, "Unauthorized").await;
    // As on AWS, the route is found first, so an unauthorized caller learns which routes exist.
    let response = malformed("/other").send().await.unwrap();
    assert_refused(response, 404, "Not Found").await;
    let health = served.event(malformed("/health")).await;
    assert_eq!(health["requestContext"].get("authorizer"), None);
}

#[tokio::test]
async fn a_response_of_format_2_becomes_the_http_response_that_it_describes() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    let response = served
        .respond(json!({
            "statusCode": 202,
            "headers": {
                "Location": "/operations/op_1",
                "content-type": "application/json",
                "content-length": "99",
            },
            "multiValueHeaders": {"x-lost": ["on AWS too"]},
            "cookies": ["a=1", "b=2; HttpOnly"],
            "body": "{}",
        }))
        .await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["location"], "/operations/op_1");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["content-length"], "2");
    assert!(!response.headers().contains_key("x-lost"));
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2; HttpOnly"]);
    assert_eq!(response.text().await.unwrap(), "{}");

    let response = served
        .respond(json!({"statusCode": 200, "body": "/wA=", "isBase64Encoded": true}))
        .await;
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.bytes().await.unwrap().as_ref(), [0xff, 0x00]);

    let response = served
        .respond(json!({"statusCode": 304, "headers": {"etag": "\"1\""}}))
        .await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers()["etag"], "\"1\"");

    let response = served.respond(json!({"no": "status"})).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), r#"{"no":"status"}"#);
}

#[tokio::test]
async fn a_response_to_head_has_no_body() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    let request = format!(
        "HEAD /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        served.address
    );
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-length: "), "{head}");
    assert_eq!(body, "");
}

#[tokio::test]
async fn a_failure_or_a_malformed_response_of_a_function_is_500() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    for event in [
        json!({"probe": {"fail": "secret"}}),
        json!({"probe": {"exit": 1}}),
        json!({"probe": {"reply": {"statusCode": "two hundred"}}}),
        json!({"probe": {"reply": {"statusCode": 99}}}),
        json!({"probe": {"reply": {"statusCode": 101}}}),
        json!({"probe": {"reply": {"statusCode": 200, "headers": {"bad name": "x"}}}}),
        json!({"probe": {"reply": {"statusCode": 200, "headers": {"x": "a\nb"}}}}),
        json!({"probe": {"reply": {"statusCode": 200, "body": "%", "isBase64Encoded": true}}}),
        json!({"probe": {"reply": {"statusCode": 200, "body": {"not": "text"}}}}),
    ] {
        assert_refused(served.put(&event).await, 500, "Internal Server Error").await;
    }
}

#[tokio::test]
async fn a_function_that_exceeds_the_integration_timeout_is_503() {
    let served = serve(Duration::from_millis(300)).await;
    let listener = ProbeListener::open().await;
    let event = listener.hold("slow");
    let (response, _held) = tokio::join!(served.put(&event), listener.accept());
    assert_refused(response, 503, "Service Unavailable").await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let served = serve(INTEGRATION_TIMEOUT).await;
    // Refused by its content-length: no byte of it is sent.
    let request = format!(
        "POST /operations HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        served.address,
        BODY_MAX_BYTES + 1
    );
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
    assert!(response.ends_with(r#"{"message":"Request Entity Too Large"}"#));

    // Within the gateway's limit, but too large for an invocation.
    let request = served
        .request("POST", "/operations")
        .body(vec![b'x'; 6 * 1024 * 1024]);
    assert_refused(
        request.send().await.unwrap(),
        413,
        "Request Entity Too Large",
    )
    .await;
}

#[tokio::test]
async fn pages_of_an_allowed_origin_get_the_configured_cors_headers() {
    let origin = "https://app.example.com";
    let another = "http://localhost:5173";
    let allowed = Allowed {
        origins: vec!["https://console.example.com".to_owned(), origin.to_owned()],
        ..Allowed::default()
    };
    let served = serve_allowing(allowed, INTEGRATION_TIMEOUT).await;
    let header = |response: &reqwest::Response, name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let allow_origin = "access-control-allow-origin";

    // The authorizer would refuse this token, and a function would answer otherwise.
    let preflight = |page| {
        let request = served.request("OPTIONS", "/operations");
        request
            .header("origin", page)
            .header("sec-fetch-site", "cross-site")
            .header("access-control-request-method", "POST")
            .header("authorization", "none")
    };
    let response = preflight(origin).send().await.unwrap();
    assert_eq!(response.status(), 204);
    for (name, expected) in [
        (allow_origin, origin.to_owned()),
        ("access-control-allow-methods", CORS.allow_methods.join(",")),
        ("access-control-allow-headers", CORS.allow_headers.join(",")),
        ("access-control-max-age", CORS.max_age_secs.to_string()),
    ] {
        assert_eq!(header(&response, name), Some(expected), "{name}");
    }
    let response = preflight("https://evil.example").send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(header(&response, allow_origin), None);

    let answer = json!({"statusCode": 200, "headers": {allow_origin: "*"}});
    for (page, expected) in [
        (Some(origin), Some(origin)),
        (Some(another), None),
        (None, None),
    ] {
        let mut request = served
            .request("PUT", "/operations")
            .header("content-type", "application/json")
            .body(json!({"probe": {"reply": answer}}).to_string());
        if let Some(page) = page {
            request = request.header("origin", page);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, allow_origin).as_deref(), expected);
        let exposed = expected.map(|_| CORS.expose_headers.join(","));
        assert_eq!(header(&response, "access-control-expose-headers"), exposed);
    }
    let unknown = served.request("GET", "/nothing").header("origin", origin);
    let response = unknown.send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(header(&response, allow_origin).as_deref(), Some(origin));
}
