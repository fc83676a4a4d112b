//! The functions of the language, by family; each family's file has its list.
//!
//! To add one: its code in the file of its family, one entry in that file's list, lines in a `.test` file.

mod absence;
mod date;
mod histogram;
mod labels;
mod math;
mod over_time;
mod rate;
mod sort;
mod trend;
mod value;

use super::{
    ast::{Expr, Span, ValueType},
    eval::{Evaluated, Evaluator, Numbers, Result, present},
    window::{self, Kernel},
};

/// One function.
#[derive(Debug)]
pub(crate) struct Function {
    pub name: &'static str,
    /// The types of its arguments; the last stands for all further ones.
    pub args: &'static [ValueType],
    /// How many of the last argument there may be: 0 for exactly one, `n` for up to `n` (none included), -1 for any number.
    pub variadic: i32,
    pub returns: ValueType,
    pub body: Body,
    /// The metric's name no longer says what the result is.
    pub drops_name: bool,
    /// It wants a counter.
    pub counts: bool,
    /// Its result depends on the instant, whatever its arguments do.
    pub reads_time: bool,
    /// Looks at the scalar arguments of a range function.
    pub check_scalars: Option<ScalarCheck>,
}

/// Looks at a range function's scalar arguments at one instant (NaN for those not given).
pub(crate) type ScalarCheck = fn(Evaluator<'_>, Span, [f64; 2]) -> Result<()>;

/// How a function is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// Each value by itself.
    Value(fn(f64) -> f64),
    /// Each value, with up to two scalar arguments (NaN for those not given); nothing removes the value.
    ValueWith(fn(f64, [f64; 2]) -> Option<f64>),
    /// Each instant of an optional vector of times.
    Time(fn(f64) -> f64),
    /// Each window of a range vector.
    Window(Kernel),
    /// A number for each instant.
    Number(fn(&Call<'_, '_>) -> Result<Numbers>),
    /// In its own way.
    Whole(fn(&Call<'_, '_>) -> Result<Evaluated>),
}

/// A call in evaluation.
pub(crate) struct Call<'a, 'e> {
    pub evaluator: Evaluator<'a>,
    pub function: &'static Function,
    pub args: &'e [Expr],
    pub span: Span,
}

const FAMILIES: &[&[Function]] = &[
    math::LIST,
    date::LIST,
    over_time::LIST,
    rate::LIST,
    trend::LIST,
    labels::LIST,
    sort::LIST,
    histogram::LIST,
    absence::LIST,
    value::LIST,
];

/// The function of a name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FAMILIES.iter().flat_map(|family| family.iter()).find(|function| function.name == name)
}

/// The names of all functions, for completion.
#[must_use]
pub fn names() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|family| family.iter()).map(|function| function.name).collect()
}

impl Function {
    const fn new(name: &'static str, args: &'static [ValueType], returns: ValueType, body: Body) -> Self {
        Self {
            name,
            args,
            variadic: 0,
            returns,
            body,
            drops_name: true,
            counts: false,
            reads_time: false,
            check_scalars: None,
        }
    }

    const fn value(name: &'static str, body: fn(f64) -> f64) -> Self {
        Self::new(name, &[ValueType::Vector], ValueType::Vector, Body::Value(body))
    }

    const fn window(name: &'static str, args: &'static [ValueType], kernel: Kernel) -> Self {
        Self::new(name, args, ValueType::Vector, Body::Window(kernel))
    }
}

/// Evaluates a call.
pub(crate) fn call(
    evaluator: Evaluator<'_>,
    function: &'static Function,
    args: &[Expr],
    span: Span,
) -> Result<Evaluated> {
    let call = Call { evaluator, function, args, span };
    match function.body {
        Body::Value(change) => call.each_value(|value, _| Some(change(value))),
        Body::ValueWith(change) => call.each_value(change),
        Body::Time(read) => call.each_time(read),
        Body::Window(kernel) => {
            let columns = window::columns(evaluator, function, kernel, args)?;
            columns.collect::<Result<Vec<_>>>().map(Evaluated::Vector)
        }
        Body::Number(read) => read(&call).map(Evaluated::Scalar),
        Body::Whole(eval) => eval(&call),
    }
}

impl Call<'_, '_> {
    fn arg(&self, index: usize) -> Result<&Expr> {
        let missing =
            || super::QueryError::Execution(format!("argument {} of {} is missing", index + 1, self.function.name));
        self.args.get(index).ok_or_else(missing)
    }

    fn text(&self, index: usize) -> Result<String> {
        match self.evaluator.eval(self.arg(index)?)? {
            Evaluated::Text(text) => Ok(text),
            _ => Err(super::QueryError::Execution("expected a string".to_owned())),
        }
    }

    fn each_value(&self, change: impl Fn(f64, [f64; 2]) -> Option<f64>) -> Result<Evaluated> {
        let mut scalars = [Numbers::Same(f64::NAN), Numbers::Same(f64::NAN)];
        for (slot, arg) in scalars.iter_mut().zip(self.args.iter().skip(1)) {
            *slot = self.evaluator.scalar(arg)?;
        }
        let mut columns = self.evaluator.vector(self.arg(0)?)?;
        for column in &mut columns {
            column.drop_name = true;
            for (step, value) in column.values.iter_mut().enumerate().filter(|(_, value)| present(**value)) {
                let scalars = [scalars[0].at(step), scalars[1].at(step)];
                *value = change(*value, scalars).unwrap_or(super::eval::ABSENT);
            }
        }
        columns.retain(super::eval::Column::has_values);
        Ok(Evaluated::Vector(columns))
    }

    fn each_time(&self, read: fn(f64) -> f64) -> Result<Evaluated> {
        if self.args.is_empty() {
            let seconds = |time: i64| time.div_euclid(1000) as f64;
            let values = self.evaluator.grid.times().map(|time| read(seconds(time))).collect();
            return Ok(value::lone(values));
        }
        self.each_value(|value, _| Some(read(value)))
    }
}
