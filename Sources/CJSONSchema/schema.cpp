// Schemas through valijson's SchemaParser.

#include "schema.hpp"

#include "message.hpp"

#include <exception>
#include <memory>

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema_parser.hpp>

namespace {

class AllowedBuilder final : public valijson::ConstraintBuilder {
public:
    valijson::constraints::Constraint *make(const valijson::adapters::Adapter &value) const override
    {
        std::vector<std::string> values;
        value.applyToArray([&](const valijson::adapters::Adapter &element) {
            values.push_back(element.getString());
            return true;
        });
        return new AllowedConstraint(std::move(values));
    }
};

class ReferenceBuilder final : public valijson::ConstraintBuilder {
public:
    valijson::constraints::Constraint *make(const valijson::adapters::Adapter &value) const override
    {
        return new ReferenceConstraint(static_cast<size_t>(value.getInteger()));
    }
};

class ContainsCountBuilder final : public valijson::ConstraintBuilder {
public:
    valijson::constraints::Constraint *make(const valijson::adapters::Adapter &value) const override
    {
        std::vector<int64_t> numbers;
        value.applyToArray([&](const valijson::adapters::Adapter &element) {
            numbers.push_back(element.getInteger());
            return true;
        });
        return new ContainsCountConstraint(static_cast<size_t>(numbers.at(0)), numbers.at(1), numbers.at(2));
    }
};

}  // namespace

extern "C" cjs_schema *cjs_schema_create(
    const uint8_t *json, size_t count, const uint8_t *patterns, const uint32_t *pattern_ends, size_t pattern_count)
{
    try {
        auto schema = std::make_unique<cjs_schema>();
        uint32_t start = 0;
        for (size_t i = 0; i < pattern_count; i++) {
            const std::string pattern(patterns + start, patterns + pattern_ends[i]);
            start = pattern_ends[i];
            schema->patterns.try_emplace(pattern, pattern);
        }
        const auto document = nlohmann::json::parse(json, json + count);
        for (const nlohmann::json &part : document) {
            valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
            // Two names, because a schema may have both.
            parser.addConstraintBuilder("ensign:const", new AllowedBuilder);
            parser.addConstraintBuilder("ensign:enum", new AllowedBuilder);
            parser.addConstraintBuilder("ensign:ref", new ReferenceBuilder);
            parser.addConstraintBuilder("ensign:contains", new ContainsCountBuilder);
            schema->schemas.push_back(std::make_unique<valijson::Schema>());
            parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(part), *schema->schemas.back());
        }
        return schema.release();
    } catch (const std::exception &error) {
        set_message(error.what());
    } catch (const Pattern::Error &error) {
        set_message(error.message);
    } catch (...) {
        set_message("unknown failure");
    }
    return nullptr;
}

extern "C" void cjs_schema_free(cjs_schema *schema) { delete schema; }
