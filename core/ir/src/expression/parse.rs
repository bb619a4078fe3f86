//! From text to expression, by precedence: `?:`, `||`, `&&`, comparisons, sums, products, unary, members.

use std::sync::Arc;

use super::token::{Token, tokens};
use super::{Attribute, Function, HeaderMap, Literal, MAX_DEPTH, MAX_TOKENS, Node, Operator};

const COMPARISONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];
const SUMS: [(&str, Operator); 2] = [("+", Operator::Add), ("-", Operator::Subtract)];
const PRODUCTS: [(&str, Operator); 3] = [
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("%", Operator::Remainder),
];

/// Where the values of expressions are that are known as maps, but not here.
const ROOTS: [&str; 7] = [
    "request",
    "response",
    "source",
    "destination",
    "connection",
    "upstream",
    "xds",
];

pub(super) fn parse(text: &str) -> Result<Node, String> {
    let tokens = tokens(text)?;
    if tokens.len() > MAX_TOKENS {
        return Err(format!("it has more than {MAX_TOKENS} words"));
    }
    let mut parser = Parser {
        tokens: &tokens,
        depth: 0,
    };
    let node = parser.conditional()?;
    match parser.tokens.first() {
        None => Ok(node),
        Some(token) => Err(format!("{} is not expected", show(token))),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    depth: usize,
}

/// What a name and its members stand for.
enum Path {
    /// Names so far.
    Names(String),
    Node(Node),
}

// === impl Parser ===

impl Parser<'_> {
    fn take(&mut self, sign: &str) -> bool {
        if let Some((Token::Sign(next), rest)) = self.tokens.split_first()
            && *next == sign
        {
            self.tokens = rest;
            return true;
        }
        false
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.tokens.first().map_or("the end".to_owned(), show);
        Err(format!("{sign} is expected, and there is {found}"))
    }

    fn one_of(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let found = operators.iter().find(|(sign, _)| self.take(sign));
        found.map(|(_, operator)| *operator)
    }

    fn conditional(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let condition = self.or()?;
        let node = if self.take("?") {
            let then = self.conditional()?;
            self.expect(":")?;
            let otherwise = self.conditional()?;
            Node::If(Box::new([condition, then, otherwise]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn or(&mut self) -> Result<Node, String> {
        let mut node = self.and()?;
        while self.take("||") {
            node = Node::Or(Box::new(node), Box::new(self.and()?));
        }
        Ok(node)
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut node = self.comparison()?;
        while self.take("&&") {
            node = Node::And(Box::new(node), Box::new(self.comparison()?));
        }
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, String> {
        let mut node = self.sum()?;
        loop {
            let operator = match self.one_of(&COMPARISONS) {
                Some(operator) => operator,
                None if self.take_word("in") => Operator::In,
                None => return Ok(node),
            };
            node = Node::Binary(operator, Box::new(node), Box::new(self.sum()?));
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        if let Some((Token::Name(next), rest)) = self.tokens.split_first()
            && **next == *word
        {
            self.tokens = rest;
            return true;
        }
        false
    }

    fn sum(&mut self) -> Result<Node, String> {
        let mut node = self.product()?;
        while let Some(operator) = self.one_of(&SUMS) {
            node = Node::Binary(operator, Box::new(node), Box::new(self.product()?));
        }
        Ok(node)
    }

    fn product(&mut self) -> Result<Node, String> {
        let mut node = self.unary()?;
        while let Some(operator) = self.one_of(&PRODUCTS) {
            node = Node::Binary(operator, Box::new(node), Box::new(self.unary()?));
        }
        Ok(node)
    }

    fn unary(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let node = if self.take("!") {
            Node::Not(Box::new(self.unary()?))
        } else if self.take("-") {
            Node::Negate(Box::new(self.unary()?))
        } else {
            self.member()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn member(&mut self) -> Result<Node, String> {
        let mut path = self.primary()?;
        loop {
            if self.take(".") {
                let Some((Token::Name(name), rest)) = self.tokens.split_first() else {
                    return Err("a name is expected after the dot".to_owned());
                };
                self.tokens = rest;
                path = if self.take("(") {
                    let receiver = path.node()?;
                    let arguments = self.list(")")?;
                    Path::Node(method(receiver, name, arguments)?)
                } else {
                    path.member(name)?
                };
            } else if self.take("[") {
                let index = self.conditional()?;
                self.expect("]")?;
                path = path.index(index)?;
            } else {
                return path.node();
            }
        }
    }

    fn primary(&mut self) -> Result<Path, String> {
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err("it ends too early".to_owned());
        };
        self.tokens = rest;
        let literal = |literal| Ok(Path::Node(Node::Literal(literal)));
        match token {
            Token::Int(value) => literal(Literal::Int(*value)),
            Token::Double(value) => literal(Literal::Double(*value)),
            Token::Text(text) => literal(Literal::Text(text.clone())),
            Token::Sign("(") => {
                let node = self.conditional()?;
                self.expect(")")?;
                Ok(Path::Node(node))
            }
            Token::Sign("[") => Ok(Path::Node(Node::List(self.list("]")?))),
            Token::Name(name) => match &**name {
                "true" => literal(Literal::Bool(true)),
                "false" => literal(Literal::Bool(false)),
                "null" => literal(Literal::Null),
                name if self.take("(") => {
                    let arguments = self.list(")")?;
                    function(name, arguments).map(Path::Node)
                }
                name if ROOTS.contains(&name) => Ok(Path::Names(name.to_owned())),
                name => Err(format!("{name} is not known here")),
            },
            Token::Sign(_) => Err(format!("{} is not expected", show(token))),
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Node>, String> {
        let mut found = Vec::new();
        if self.take(end) {
            return Ok(found);
        }
        loop {
            found.push(self.conditional()?);
            if !self.take(",") {
                self.expect(end)?;
                return Ok(found);
            }
        }
    }
}

// === impl Path ===

impl Path {
    fn node(self) -> Result<Node, String> {
        match self {
            Self::Node(node) => Ok(node),
            Self::Names(names) => Err(format!("{names} is not an attribute that is known here")),
        }
    }

    fn member(self, name: &str) -> Result<Self, String> {
        match self {
            Self::Names(names) => {
                let names = format!("{names}.{name}");
                if let Some(attribute) = Attribute::of(&names) {
                    return Ok(Self::Node(Node::Attribute(attribute)));
                }
                if let Some(map) = HeaderMap::of(&names) {
                    return Ok(Self::Node(Node::Headers(map)));
                }
                Ok(Self::Names(names))
            }
            Self::Node(Node::Headers(map)) => Ok(Self::Node(header(map, text(name)))),
            Self::Node(_) => Err(format!("there is no member {name}")),
        }
    }

    fn index(self, index: Node) -> Result<Self, String> {
        match self {
            Self::Node(Node::Headers(map)) => Ok(Self::Node(header(map, index))),
            Self::Node(_) => Err("only headers can be indexed".to_owned()),
            Self::Names(names) => Err(format!("{names} is not known here")),
        }
    }
}

fn text(text: &str) -> Node {
    Node::Literal(Literal::Text(text.into()))
}

fn header(map: HeaderMap, name: Node) -> Node {
    let name = match name {
        Node::Literal(Literal::Text(name)) => {
            let name: Arc<str> = name.to_ascii_lowercase().into();
            Node::Literal(Literal::Text(name))
        }
        other => other,
    };
    Node::Header(map, Box::new(name))
}

fn method(receiver: Node, name: &str, arguments: Vec<Node>) -> Result<Node, String> {
    let function = match name {
        "startsWith" => Function::StartsWith,
        "endsWith" => Function::EndsWith,
        "contains" => Function::Contains,
        "matches" => return matches(receiver, arguments),
        "size" => Function::Size,
        _ => return Err(format!("the method {name} is not known here")),
    };
    let wanted = usize::from(function != Function::Size);
    if arguments.len() != wanted {
        return Err(format!("{name} takes {wanted} arguments"));
    }
    let all = std::iter::once(receiver).chain(arguments).collect();
    Ok(Node::Call(function, all))
}

fn matches(receiver: Node, arguments: Vec<Node>) -> Result<Node, String> {
    let [Node::Literal(Literal::Text(pattern))] = arguments.as_slice() else {
        return Err("matches takes one pattern, as a text".to_owned());
    };
    let pattern = regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("{pattern:?} is not a pattern: {error}"))?;
    Ok(Node::Matches(Box::new(receiver), pattern))
}

fn function(name: &str, mut arguments: Vec<Node>) -> Result<Node, String> {
    if name == "matches" && arguments.len() == 2 {
        let receiver = arguments.remove(0);
        return matches(receiver, arguments);
    }
    let function = match name {
        "has" => {
            return match arguments.pop() {
                Some(node @ (Node::Attribute(_) | Node::Header(..) | Node::Headers(_)))
                    if arguments.is_empty() =>
                {
                    Ok(Node::Has(Box::new(node)))
                }
                _ => Err("has takes one attribute".to_owned()),
            };
        }
        "size" => Function::Size,
        "string" => Function::Text,
        "int" => Function::Int,
        _ => return Err(format!("the function {name} is not known here")),
    };
    if arguments.len() != 1 {
        return Err(format!("{name} takes 1 argument"));
    }
    Ok(Node::Call(function, arguments))
}

fn show(token: &Token) -> String {
    match token {
        Token::Name(name) => name.to_string(),
        Token::Int(value) => value.to_string(),
        Token::Double(value) => value.to_string(),
        Token::Text(text) => format!("{text:?}"),
        Token::Sign(sign) => (*sign).to_owned(),
    }
}
