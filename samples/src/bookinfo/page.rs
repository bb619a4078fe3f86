//! The HTML of bookinfo. Every text that comes from elsewhere is escaped, and everything that the
//! page needs is in it.
//!
//! Each rated review has exactly one line with `<font color="COLOR">` and one with nothing else that
//! mentions a colour by name, so that counting such lines in a shell counts reviews with stars.

use serde_json::Value;

use super::productpage::Part;
use crate::encoding::escape;

/// Most stars that are drawn.
const MAX_STARS: usize = 5;

/// Everything that one product page shows.
pub(super) struct Page<'a> {
    pub(super) product: &'a Value,
    pub(super) user: Option<&'a str>,
    pub(super) details: &'a Part,
    pub(super) reviews: &'a Part,
}

const STYLE: &str = "\
*{box-sizing:border-box}\
body{margin:0;background:#f6f5f1;color:#23211d;font:16px/1.6 system-ui,sans-serif}\
header{background:#1f3a4d;color:#fff}\
.bar,main{max-width:64rem;margin:auto;padding:1rem 1.5rem}\
.bar{display:flex;flex-wrap:wrap;gap:1rem;align-items:center;justify-content:space-between}\
.bar a{color:inherit}\
.bar form{display:flex;gap:.5rem;margin:0}\
input,button{font:inherit;padding:.25rem .6rem;border:1px solid #b8b3a6;border-radius:.35rem}\
h1{font:600 2.4rem/1.2 Georgia,serif;margin:1.2rem 0 .5rem}\
h2{font-size:1.1rem;margin:0 0 .8rem}\
.columns{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));margin:1.5rem 0}\
section{background:#fff;border:1px solid #e2ded3;border-radius:.6rem;padding:1.2rem 1.4rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.2rem;margin:0}\
dt{color:#6d685c}dd{margin:0}\
blockquote{margin:0 0 1.2rem;padding-left:1rem;border-left:3px solid #d8d2c2}\
blockquote p{margin:0}\
small{color:#6d685c}\
.glyphicon-star:before{content:'\\2605'}\
.glyphicon-star-empty:before{content:'\\2606'}\
.stars{font-size:1.3rem;letter-spacing:.1em}\
.sorry{background:#fdf3dc;border-color:#e8c877}";

/// The start page.
pub(super) fn index() -> String {
    let body = "<main>\n<h1>Bookinfo</h1>\n\
        <p>One page, put together by four services. Which version of the reviews answers is decided \
        by the mesh: the first shows no stars, the others show theirs in different colours.</p>\n\
        <p><a href=\"/productpage\">Open the product page</a></p>\n</main>\n";
    document(body)
}

// === impl Page ===

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let title = escape(field(self.product, "title"));
        // Our own markup, the only text that is not escaped.
        let description = field(self.product, "descriptionHtml");
        document(&format!(
            "{bar}<main>\n<h1>{title}</h1>\n<p>{description}</p>\n\
             <div class=\"columns\">\n{details}{reviews}</div>\n</main>\n",
            bar = bar(self.user),
            details = details(self.details),
            reviews = reviews(self.reviews),
        ))
    }
}

fn document(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Simple Bookstore App</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

fn bar(user: Option<&str>) -> String {
    let session = match user {
        Some(user) => format!(
            "<span>{} (<a href=\"/logout\">sign out</a>)</span>",
            escape(user)
        ),
        None => "<form method=\"post\" action=\"/login\">\
                 <input name=\"username\" placeholder=\"User name\" aria-label=\"User name\" \
                 maxlength=\"64\" required>\
                 <button type=\"submit\">Sign in</button></form>"
            .to_owned(),
    };
    format!(
        "<header>\n<div class=\"bar\">\n<a href=\"/\">Bookinfo</a>\n{session}\n</div>\n</header>\n"
    )
}

fn details(part: &Part) -> String {
    if let Some(sorry) = apology(part) {
        return unavailable("Error fetching product details!", sorry);
    }
    let rows = [
        ("Author", "author"),
        ("Year", "year"),
        ("Type", "type"),
        ("Pages", "pages"),
        ("Publisher", "publisher"),
        ("Language", "language"),
        ("ISBN-10", "ISBN-10"),
        ("ISBN-13", "ISBN-13"),
    ];
    let mut list = String::new();
    for (label, name) in rows {
        let value = match part.body.get(name) {
            Some(Value::String(text)) => escape(text),
            Some(value) => escape(&value.to_string()),
            None => continue,
        };
        list.push_str(&format!("<dt>{label}</dt><dd>{value}</dd>\n"));
    }
    format!("<section>\n<h2>Book Details</h2>\n<dl>\n{list}</dl>\n</section>\n")
}

fn reviews(part: &Part) -> String {
    if let Some(sorry) = apology(part) {
        return unavailable("Error fetching product reviews!", sorry);
    }
    let reviews = part.body.get("reviews").and_then(Value::as_array);
    let reviews: String = reviews.into_iter().flatten().map(review).collect();
    let pod = escape(field(&part.body, "podname"));
    let version = part.version.as_deref().unwrap_or("unknown");
    let version = escape(version);
    format!(
        "<section>\n<h2>Book Reviews</h2>\n{reviews}\
         <small>Reviews served by: {pod}, version {version}</small>\n</section>\n"
    )
}

fn review(review: &Value) -> String {
    let text = escape(field(review, "text"));
    let reviewer = escape(field(review, "reviewer"));
    let rating = review.get("rating").map(rating).unwrap_or_default();
    format!("<blockquote>\n<p>{text}</p>\n<small>{reviewer}</small>\n{rating}</blockquote>\n")
}

/// The stars on one line, or why there are none.
fn rating(rating: &Value) -> String {
    let stars = rating.get("stars").and_then(Value::as_u64);
    let stars = stars.and_then(|stars| usize::try_from(stars).ok());
    let Some(stars) = stars.filter(|stars| *stars <= MAX_STARS) else {
        let error = match field(rating, "error") {
            "" => "This reviewer gave no stars",
            error => error,
        };
        return format!("<p><i>{}</i></p>\n", escape(error));
    };
    let color = escape(field(rating, "color"));
    // The class names and the comment are what shell lines in tutorials look for.
    let full = "<span class=\"glyphicon glyphicon-star\"></span>".repeat(stars);
    let empty = "<span class=\"glyphicon glyphicon-star-empty\"></span>".repeat(MAX_STARS - stars);
    format!(
        "<font color=\"{color}\"><span class=\"stars\" title=\"{stars} of {MAX_STARS}\">\
         <!-- full stars: -->{full}<!-- empty stars: -->{empty}</span></font>\n"
    )
}

fn unavailable(heading: &str, sorry: &str) -> String {
    let sorry = escape(sorry);
    format!("<section class=\"sorry\">\n<h2>{heading}</h2>\n<p>{sorry}</p>\n</section>\n")
}

fn apology(part: &Part) -> Option<&str> {
    part.body.get("error").and_then(Value::as_str)
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;

    fn part(body: Value) -> Part {
        Part {
            status: StatusCode::OK,
            body,
            version: Some("v3".to_owned()),
        }
    }

    fn render(reviews: Value) -> String {
        let page = Page {
            product: &json!({ "title": "T", "descriptionHtml": "D" }),
            user: Some("<jason>"),
            details: &part(json!({ "author": "A & B", "year": 1595 })),
            reviews: &part(reviews),
        };
        page.render()
    }

    fn lines(page: &str, needle: &str) -> usize {
        page.lines().filter(|line| line.contains(needle)).count()
    }

    #[test]
    fn one_line_per_rated_review_and_as_many_stars_as_given() {
        let page = render(json!({ "podname": "reviews-v3-x", "reviews": [
            { "reviewer": "a", "text": "x", "rating": { "stars": 5, "color": "red" } },
            { "reviewer": "b", "text": "y", "rating": { "stars": 3, "color": "red" } },
        ]}));
        assert_eq!(lines(&page, "<font color=\"red\">"), 2);
        assert_eq!(lines(&page, "full stars"), 2);
        assert_eq!(page.matches("glyphicon-star\"").count(), 8);
        assert_eq!(page.matches("glyphicon-star-empty\"").count(), 2);
        assert!(page.contains("Reviews served by: reviews-v3-x, version v3"));
    }

    #[test]
    fn without_ratings_nothing_speaks_of_stars_or_colours() {
        let page = render(json!({ "reviews": [{ "reviewer": "a", "text": "x" }] }));
        for needle in ["<font", "full stars", "\"red\"", "\"black\""] {
            assert!(!page.contains(needle), "{needle}");
        }
    }

    #[test]
    fn everything_foreign_is_escaped() {
        let page = render(json!({ "podname": "<p1>", "reviews": [
            { "reviewer": "<p2>", "text": "<p3>", "rating": { "stars": 1, "color": "\"><p4>" } },
            { "reviewer": "", "text": "", "rating": { "error": "<p5>" } },
        ]}));
        for number in 1..=5 {
            assert!(!page.contains(&format!("<p{number}>")), "{number}");
            assert!(page.contains(&format!("&lt;p{number}&gt;")), "{number}");
        }
        assert!(page.contains("&lt;jason&gt;") && page.contains("A &amp; B"));
    }

    #[test]
    fn odd_answers_make_a_page_too() {
        for rating in [
            json!(null),
            json!({ "stars": -1 }),
            json!({ "stars": 1e9 }),
            json!(7),
        ] {
            let page = render(json!({ "reviews": [{ "rating": rating }] }));
            assert!(page.contains("gave no stars"), "{page}");
        }
        for reviews in [json!(null), json!([]), json!({ "reviews": "none" })] {
            assert!(render(reviews).contains("Book Reviews"));
        }
        let sorry = render(json!({ "error": "Sorry" }));
        assert!(sorry.contains("Error fetching product reviews!"));
    }
}
