#include "image/options.h"
#include "support/test.h"
#include "unit/toy_format.h"

using namespace varve;

TEST_CASE("options: name=value pairs, a doubled comma is a comma") {
  CHECK(parse_options("").empty());
  CHECK(parse_options("a=1,b=x,,y,c==") == OptionMap{{"a", "1"}, {"b", "x,y"}, {"c", "="}});
  CHECK_ERRC(parse_options("a"), Errc::invalid_argument);
  CHECK_ERRC(parse_options("=1"), Errc::invalid_argument);
  CHECK_ERRC(parse_options("a=1,a=2"), Errc::invalid_argument);
  CHECK_ERRC(parse_options("a=1,"), Errc::invalid_argument);
}

TEST_CASE("options: defaults, and what the user gave") {
  const OptionValues values(test::toy_driver().info(), {{"block", "8K"}, {"twin", "yes"}});
  CHECK(values.text("identity") == "me");
  CHECK(values.number("block") == 8192);
  CHECK(values.boolean("twin"));
  CHECK(values.is_given("block"));
  CHECK_FALSE(values.is_given("identity"));
  CHECK(values.is_set("identity"));
}

TEST_CASE("options: a wrong value or name is refused, and what is right is named") {
  const FormatInfo& toy = test::toy_driver().info();
  for (const OptionMap& wrong :
       {OptionMap{{"block", "256"}}, OptionMap{{"block", "128K"}}, OptionMap{{"block", "5000"}}, OptionMap{{"block", "x"}},
        OptionMap{{"twin", "maybe"}}, OptionMap{{"flavour", "bitter"}}, OptionMap{{"blok", "4K"}}}) {
    CHECK_ERRC(OptionValues(toy, wrong), Errc::invalid_argument);
  }
  try {
    OptionValues(toy, {{"flavour", "bitter"}});
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "option flavour can't be 'bitter': give one of sweet, sour");
  }
}

TEST_CASE("formats: found by name and by extension in any case") {
  CHECK(formats().size() == 3);
  CHECK(format_named("toy").name == "toy");
  CHECK_ERRC(format_named("toyy"), Errc::invalid_argument);
  CHECK(format_of_path("/a.dir/b.TOY") == &test::toy_driver().info());
  CHECK(format_of_path("/a.toy/b") == nullptr);
  CHECK(format_of_path("b.other") == nullptr);
}
