//! From the parser's tree to our own program, and what RFC 9535 wants of types (2.4.3), which the parser leaves open.

use jsonpath_rust::parser::model::{
    self, Comparable, FilterAtom, FnArg, Literal, SingularQuery, SingularQuerySegment, Test, TestFunction,
};

use super::brackets::Marks;
use super::filter::{Comparison, Filter, Operand, Query, Written};
use super::iregexp::Reach;
use super::lexer::Text;
use super::node::Node;
use super::parse::{MAX_SEGMENTS, PathError};
use super::path::{self, Segment, Slice};
use super::pattern::Pattern;
use super::tree::Tree;

type Converted<T> = Result<T, PathError>;

/// Converts one segment of a path, of which the lexer marked what the tree does not tell.
pub(super) struct Converter<'t> {
    text: &'t Text,
    /// Where the segment begins.
    at: usize,
    functions: std::vec::IntoIter<usize>,
    numbers: std::vec::IntoIter<Tree>,
}

impl<'t> Converter<'t> {
    pub(super) fn new(text: &'t Text, at: usize, marks: Marks) -> Self {
        let Marks { functions, numbers } = marks;
        Self { text, at, functions: functions.into_iter(), numbers: numbers.into_iter() }
    }

    /// The tree is visited in the order in which it is written, as the marks are.
    pub(super) fn segment(&mut self, segment: &model::Segment) -> Converted<Segment> {
        match segment {
            model::Segment::Descendant(inner) => Ok(Segment::Descendants(Box::new(self.segment(inner)?))),
            model::Segment::Selector(selector) => self.selector(selector),
            model::Segment::Selectors(selectors) => {
                let selectors = selectors.iter().map(|selector| self.selector(selector));
                Ok(Segment::Union(selectors.collect::<Result<_, _>>()?))
            }
        }
    }

    fn selector(&mut self, selector: &model::Selector) -> Converted<Segment> {
        Ok(match selector {
            model::Selector::Name(name) => Segment::Name(name.as_str().into()),
            model::Selector::Index(index) => Segment::Index(*index),
            model::Selector::Wildcard => Segment::Wildcard,
            model::Selector::Slice(start, end, step) => {
                Segment::Slice(Slice { start: *start, end: *end, step: *step })
            }
            model::Selector::Filter(filter) => Segment::Filter(Box::new(self.filter(filter)?)),
        })
    }

    fn filter(&mut self, filter: &model::Filter) -> Converted<Filter> {
        match filter {
            model::Filter::Or(filters) => Ok(Filter::any(self.filters(filters)?)),
            model::Filter::And(filters) => Ok(Filter::all(self.filters(filters)?)),
            model::Filter::Atom(FilterAtom::Filter { expr, not }) => Ok(negated(*not, self.filter(expr)?)),
            model::Filter::Atom(FilterAtom::Test { expr, not }) => Ok(negated(*not, self.test(expr)?)),
            model::Filter::Atom(FilterAtom::Comparison(comparison)) => self.comparison(comparison),
        }
    }

    fn filters(&mut self, filters: &[model::Filter]) -> Converted<Vec<Filter>> {
        filters.iter().map(|filter| self.filter(filter)).collect()
    }

    fn test(&mut self, test: &Test) -> Converted<Filter> {
        let Test::Function(function) = test else {
            return Ok(Filter::Exists(self.query(test)?));
        };
        let at = self.function();
        match &**function {
            TestFunction::Match(subject, pattern) => self.matches(at, subject, (pattern, Reach::Whole)),
            TestFunction::Search(subject, pattern) => self.matches(at, subject, (pattern, Reach::Part)),
            function => Err(self.untested(at, function)),
        }
    }

    /// The refusal of a value where a test is wanted.
    fn untested(&self, at: usize, function: &TestFunction) -> PathError {
        let (compared, is_number) = match function {
            TestFunction::Length(_) => ("length(@.a) > 0", true),
            TestFunction::Count(_) => ("count(@.a[*]) > 0", true),
            _ => ("value(@.a) == 1", false),
        };
        let error = PathError::new(
            at,
            format!("this function gives a value and no test; compare it, as in `{compared}`"),
        );
        let open = self.text.skip(at, path::is_name_character);
        match self.text.closing(open).filter(|_| is_number) {
            Some(close) => error.suggest(self.text.splice(close + 1, close + 1, " > 0")),
            None => error,
        }
    }

    fn matches(&mut self, at: usize, subject: &FnArg, pattern: (&FnArg, Reach)) -> Converted<Filter> {
        let subject = self.value_argument(at, subject)?;
        let (pattern, reach) = pattern;
        let FnArg::Literal(Literal::String(source)) = pattern else {
            return Err(PathError::new(
                at,
                "the pattern of match() and search() is a quoted string, nothing else",
            ));
        };
        let pattern = Pattern::compile(source, reach).map_err(|reason| {
            PathError::new(at, format!("the pattern '{source}' cannot be used: {reason}"))
        })?;
        Ok(Filter::Matches(subject, Box::new(pattern)))
    }

    fn comparison(&mut self, comparison: &model::Comparison) -> Converted<Filter> {
        let kind = match comparison {
            model::Comparison::Eq(..) => Comparison::Equal,
            model::Comparison::Ne(..) => Comparison::NotEqual,
            model::Comparison::Gt(..) => Comparison::Greater,
            model::Comparison::Gte(..) => Comparison::GreaterOrEqual,
            model::Comparison::Lt(..) => Comparison::Less,
            model::Comparison::Lte(..) => Comparison::LessOrEqual,
        };
        let (left, right) = comparison.vals();
        let left = self.comparable(left)?;
        Ok(Filter::Compare(left, kind, self.comparable(right)?))
    }

    fn comparable(&mut self, comparable: &Comparable) -> Converted<Operand> {
        match comparable {
            Comparable::Literal(literal) => Ok(Operand::Literal(self.literal(literal))),
            Comparable::Function(function) => {
                let at = self.function();
                self.value_function(at, function)
            }
            Comparable::SingularQuery(query) => {
                let (from_root, segments) = match query {
                    SingularQuery::Current(segments) => (false, segments),
                    SingularQuery::Root(segments) => (true, segments),
                };
                let segments = segments.iter().map(|segment| match segment {
                    SingularQuerySegment::Index(index) => Segment::Index(*index),
                    SingularQuerySegment::Name(name) => Segment::Name(name.as_str().into()),
                });
                let query = self.bounded(from_root, segments.collect())?;
                Ok(Operand::Value(query, Written::Plain))
            }
        }
    }

    /// A function that gives a value, or nothing.
    fn value_function(&mut self, at: usize, function: &TestFunction) -> Converted<Operand> {
        match function {
            TestFunction::Length(argument) => {
                Ok(Operand::Length(Box::new(self.value_argument(at, argument)?)))
            }
            TestFunction::Count(argument) => Ok(Operand::Count(self.query_argument(at, argument)?)),
            TestFunction::Value(argument) => {
                Ok(Operand::Value(self.query_argument(at, argument)?, Written::Function))
            }
            TestFunction::Match(..) | TestFunction::Search(..) | TestFunction::Custom(..) => {
                Err(PathError::new(at, "this function is a test and gives no value that could be used here"))
            }
        }
    }

    fn value_argument(&mut self, at: usize, argument: &FnArg) -> Converted<Operand> {
        match argument {
            FnArg::Literal(literal) => Ok(Operand::Literal(self.literal(literal))),
            FnArg::Test(test) => match &**test {
                Test::Function(function) => {
                    let at = self.function();
                    self.value_function(at, function)
                }
                test => {
                    let query = self.query(test)?;
                    if !query.is_singular() {
                        let reason = "this function takes one value; the query in it may find many";
                        return Err(PathError::new(at, reason));
                    }
                    Ok(Operand::Value(query, Written::Plain))
                }
            },
            FnArg::Filter(_) => Err(PathError::new(at, "this function takes a value and no test")),
        }
    }

    fn query_argument(&mut self, at: usize, argument: &FnArg) -> Converted<Query> {
        match argument {
            FnArg::Test(test) if !matches!(**test, Test::Function(_)) => self.query(test),
            _ => Err(PathError::new(at, "this function takes a query, such as `@.a[*]`")),
        }
    }

    fn query(&mut self, test: &Test) -> Converted<Query> {
        let (from_root, segments) = match test {
            Test::RelQuery(segments) => (false, segments.as_slice()),
            Test::AbsQuery(query) => (true, query.segments.as_slice()),
            Test::Function(_) => return Err(PathError::new(self.at, "a function where a query is wanted")),
        };
        let segments = segments.iter().map(|segment| self.segment(segment)).collect::<Result<_, _>>()?;
        self.bounded(from_root, segments)
    }

    fn bounded(&self, from_root: bool, segments: Box<[Segment]>) -> Converted<Query> {
        if segments.len() > MAX_SEGMENTS {
            let reason = format!("a query in the filter has more than {MAX_SEGMENTS} segments");
            return Err(PathError::new(self.at, reason));
        }
        Ok(Query { from_root, segments })
    }

    /// Where the next function is.
    fn function(&mut self) -> usize {
        self.functions.next().unwrap_or(self.at)
    }

    fn literal(&mut self, literal: &Literal) -> Tree {
        let plain = match literal {
            Literal::Int(value) => Node::Number((*value).into()),
            Literal::Float(value) => Node::Number((*value).into()),
            Literal::String(text) => return Node::String(text).into(),
            Literal::Bool(value) => return Node::Bool(*value).into(),
            Literal::Null => return Node::Null.into(),
        };
        self.numbers.next().unwrap_or_else(|| plain.into())
    }
}

fn negated(not: bool, filter: Filter) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}
