// Values against schemas.
//
// valijson 1.0 offers a schema's constraints to a ConstraintVisitor. Its own, ValidationVisitor, is not used: it runs
// patterns through std::regex, cuts strings at NUL, takes 4.5 for a multiple of 2 and "3" for a number, compares integers
// as doubles, and has no bound on time. The visitor below reads our own nodes instead.

#include "decimal.hpp"
#include "instance.hpp"
#include "message.hpp"
#include "schema.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <stdexcept>

#include <valijson/constraints/constraint_visitor.hpp>

namespace constraints = valijson::constraints;
using valijson::Subschema;

namespace {

/// The beginning of a text that may be long, cut between characters.
std::string excerpt(std::string_view text, size_t most = 60)
{
    if (text.size() <= most) return std::string(text);
    size_t end = most;
    while (end > 0 && (text[end] & 0xC0) == 0x80) end--;
    return std::string(text.substr(0, end)) + "…";
}

std::string in_quotes(std::string_view text) { return "'" + excerpt(text) + "'"; }

std::string shortest(double value)
{
    char buffer[32];
    return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string counted(uint64_t count, const char *one, const char *many)
{
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

// MARK: - Validation

struct Violation {
    uint32_t node;
    bool is_limit;
    std::string message;
};

/// Collects up to a number of violations. Behind a null pointer, only yes or no is wanted.
struct Sink {
    std::vector<Violation> violations;
    size_t most;
};

/// Validation gives up.
struct Exhausted {
    uint32_t node;
    std::string message;
};

class Visitor final : public constraints::ConstraintVisitor {
public:
    Visitor(const cjs_schema &schema, const Instance &instance)
        : schema(schema), in(instance), matcher(budget), current(schema.schemas.at(0).get())
    {
        apply = [this](const constraints::Constraint &constraint) {
            spend();
            return constraint.accept(*this);
        };
    }

    /// Whether a value is valid against the whole schema.
    bool check_root(Sink *into) { return check_numbered(0, 0, into); }

    /// Whether a node is valid against a schema. References that come back do so at a smaller value, which is linted; as a
    /// value may be deep, and what is at each level of it too, the recursion is bounded besides.
    bool check(const Subschema *subschema, uint32_t at, Sink *into)
    {
        spend();
        const Level level(*this);
        if (into != nullptr && into->violations.size() >= into->most) into = nullptr;
        const uint32_t outer_node = node;
        Sink *const outer_sink = sink;
        node = at;
        sink = into;
        const bool valid = subschema->getAlwaysInvalid() ? fail([] { return "nothing is allowed here"; })
            : into != nullptr                            ? subschema->apply(apply)
                                                         : subschema->applyStrict(apply);
        node = outer_node;
        sink = outer_sink;
        return valid;
    }

    bool visit(const AllOfConstraint &constraint) override
    {
        bool valid = true;
        constraint.applyToSubschemas([&](unsigned, const Subschema *subschema) {
            valid = check(subschema, node, sink) && valid;
            return goes_on(valid);
        });
        return valid;
    }

    bool visit(const AnyOfConstraint &constraint) override
    {
        bool valid = false;
        constraint.applyToSubschemas([&](unsigned, const Subschema *subschema) {
            valid = check(subschema, node, nullptr);
            return !valid;
        });
        if (valid) return true;
        return fail([&] { return "matches none of the alternatives of 'anyOf'" + reasons(constraint); });
    }

    bool visit(const OneOfConstraint &constraint) override
    {
        std::vector<unsigned> matches;
        constraint.applyToSubschemas([&](unsigned index, const Subschema *subschema) {
            if (check(subschema, node, nullptr)) matches.push_back(index);
            return matches.size() < 2;
        });
        if (matches.size() == 1) return true;
        return fail([&] {
            if (matches.empty()) return "matches none of the alternatives of 'oneOf'" + reasons(constraint);
            return "matches more than one alternative of 'oneOf': number " + std::to_string(matches[0] + 1) + " and "
                + std::to_string(matches[1] + 1);
        });
    }

    bool visit(const NotConstraint &constraint) override
    {
        if (!check(constraint.getSubschema(), node, nullptr)) return true;
        return fail([] { return "matches the schema in 'not'"; });
    }

    bool visit(const ConditionalConstraint &constraint) override
    {
        const Subschema *branch = check(constraint.getIfSubschema(), node, nullptr) ? constraint.getThenSubschema()
                                                                                    : constraint.getElseSubschema();
        return branch == nullptr || check(branch, node, sink);
    }

    bool visit(const constraints::PolyConstraint &constraint) override
    {
        if (const auto *reference = dynamic_cast<const ReferenceConstraint *>(&constraint)) {
            return check_numbered(reference->number, node, sink);
        }
        if (const auto *contains = dynamic_cast<const ContainsCountConstraint *>(&constraint)) {
            return check_count(*contains);
        }
        const auto &allowed = dynamic_cast<const AllowedConstraint &>(constraint).values;
        const std::string_view value = in.canonical(node);
        for (const std::string &candidate : allowed) {
            spend(1 + value.size() / 64);
            if (candidate == value) return true;
        }
        return fail([&] {
            std::string message = allowed.size() == 1 ? "must be " : "must be one of ";
            for (size_t i = 0; i < std::min<size_t>(allowed.size(), 10); i++) {
                message += (i == 0 ? "" : ", ") + excerpt(allowed[i]);
            }
            return message + (allowed.size() > 10 ? ", …" : "");
        });
    }

    bool visit(const TypeConstraint &constraint) override
    {
        bool valid = false;
        constraint.applyToNamedTypes([&](TypeConstraint::JsonType type) {
            valid = valid || has_type(type);
            return !valid;
        });
        if (valid) return true;
        return fail([&] {
            std::string expected;
            constraint.applyToNamedTypes([&](TypeConstraint::JsonType type) {
                expected += (expected.empty() ? "" : " or ") + std::string(type_name(type));
                return true;
            });
            return "expected " + expected + ", got " + Instance::kind_name(in.kind(node));
        });
    }

    // The rewriter leaves none of these: `format` is an annotation, the others become AllowedConstraint.
    bool visit(const FormatConstraint &) override { throw std::logic_error("'format' is not rewritten"); }
    bool visit(const ConstConstraint &) override { throw std::logic_error("'const' is not rewritten"); }
    bool visit(const EnumConstraint &) override { throw std::logic_error("'enum' is not rewritten"); }

    // Numbers.

    bool visit(const MinimumConstraint &constraint) override
    {
        if (!in.is_number(node)) return true;
        const int order = compare(constraint.getMinimum());
        if (constraint.getExclusiveMinimum() ? order > 0 : order >= 0) return true;
        return fail([&] {
            return (constraint.getExclusiveMinimum() ? "must be more than " : "must be at least ")
                + shortest(constraint.getMinimum()) + ", got " + excerpt(in.canonical(node));
        });
    }

    bool visit(const MaximumConstraint &constraint) override
    {
        if (!in.is_number(node)) return true;
        const int order = compare(constraint.getMaximum());
        if (constraint.getExclusiveMaximum() ? order < 0 : order <= 0) return true;
        return fail([&] {
            return (constraint.getExclusiveMaximum() ? "must be less than " : "must be at most ")
                + shortest(constraint.getMaximum()) + ", got " + excerpt(in.canonical(node));
        });
    }

    bool visit(const MultipleOfIntConstraint &constraint) override
    {
        return is_multiple(std::to_string(constraint.getDivisor()));
    }

    bool visit(const MultipleOfDoubleConstraint &constraint) override
    {
        return is_multiple(shortest(constraint.getDivisor()));
    }

    // Strings.

    bool visit(const MinLengthConstraint &constraint) override
    {
        return !in.is_text(node)
            || is_at_least(length(), constraint.getMinLength(), "character", "characters");
    }

    bool visit(const MaxLengthConstraint &constraint) override
    {
        return !in.is_text(node)
            || is_at_most(length(), constraint.getMaxLength(), "character", "characters");
    }

    bool visit(const PatternConstraint &constraint) override
    {
        if (!in.is_text(node)) return true;
        const auto pattern = constraint.getPattern<std::string::allocator_type>();
        if (matches(pattern, find(pattern), node)) return true;
        return fail([&] { return "does not match the pattern " + in_quotes(pattern); });
    }

    // Arrays.

    bool visit(const MinItemsConstraint &constraint) override
    {
        return in.kind(node) != CJS_ARRAY
            || is_at_least(in.at(node).payload, constraint.getMinItems(), "item", "items");
    }

    bool visit(const MaxItemsConstraint &constraint) override
    {
        return in.kind(node) != CJS_ARRAY
            || is_at_most(in.at(node).payload, constraint.getMaxItems(), "item", "items");
    }

    bool visit(const SingularItemsConstraint &constraint) override
    {
        if (in.kind(node) != CJS_ARRAY) return true;
        bool valid = true;
        for (uint32_t item = node + 1; item < in.at(node).end && goes_on(valid); item = in.at(item).end) {
            valid = check(constraint.getItemsSubschema(), item, sink) && valid;
        }
        return valid;
    }

    bool visit(const LinearItemsConstraint &constraint) override
    {
        if (in.kind(node) != CJS_ARRAY) return true;
        bool valid = true;
        uint32_t item = node + 1;
        const uint32_t end = in.at(node).end;
        constraint.applyToItemSubschemas([&](unsigned, const Subschema *subschema) {
            if (item >= end) return false;
            valid = check(subschema, item, sink) && valid;
            item = in.at(item).end;
            return goes_on(valid);
        });
        const Subschema *additional = constraint.getAdditionalItemsSubschema();
        for (; item < end && goes_on(valid); item = in.at(item).end) {
            spend();
            if (additional != nullptr) {
                valid = check(additional, item, sink) && valid;
            } else {
                valid = fail_at(item, [&] {
                    return "no more than " + counted(constraint.getItemSubschemaCount(), "item", "items")
                        + " allowed ('additionalItems' is false)";
                });
            }
        }
        return valid;
    }

    bool visit(const ContainsConstraint &constraint) override
    {
        if (in.kind(node) != CJS_ARRAY) return true;
        for (uint32_t item = node + 1; item < in.at(node).end; item = in.at(item).end) {
            if (check(constraint.getSubschema(), item, nullptr)) return true;
        }
        return fail([] { return "no item matches the schema in 'contains'"; });
    }

    bool visit(const UniqueItemsConstraint &) override
    {
        if (in.kind(node) != CJS_ARRAY || in.at(node).payload < 2) return true;
        const size_t count = in.at(node).payload;
        spend(count + in.canonical(node).size() / 16);
        std::vector<std::pair<std::string_view, uint32_t>> items;
        items.reserve(count);
        for (uint32_t item = node + 1; item < in.at(node).end; item = in.at(item).end) {
            items.emplace_back(in.canonical(item), item);
        }
        // Equal ones come together, in their order.
        std::sort(items.begin(), items.end());
        bool valid = true;
        for (size_t i = 1; i < count && goes_on(valid); i++) {
            if (items[i].first != items[i - 1].first) continue;
            valid = fail_at(items[i].second, [] { return "repeats an earlier item ('uniqueItems')"; });
        }
        return valid;
    }

    // Objects.

    bool visit(const MinPropertiesConstraint &constraint) override
    {
        return in.kind(node) != CJS_OBJECT
            || is_at_least(in.at(node).payload, constraint.getMinProperties(), "property", "properties");
    }

    bool visit(const MaxPropertiesConstraint &constraint) override
    {
        return in.kind(node) != CJS_OBJECT
            || is_at_most(in.at(node).payload, constraint.getMaxProperties(), "property", "properties");
    }

    bool visit(const RequiredConstraint &constraint) override
    {
        if (in.kind(node) != CJS_OBJECT) return true;
        Members members(*this);
        bool valid = true;
        constraint.applyToRequiredProperties([&](const auto &name) {
            if (members.find(name) == nullptr) {
                valid = fail([&] { return "missing required property " + in_quotes(name); });
            }
            return goes_on(valid);
        });
        return valid;
    }

    bool visit(const PropertiesConstraint &constraint) override
    {
        if (in.kind(node) != CJS_OBJECT) return true;
        Members members(*this);
        bool valid = true;
        constraint.applyToProperties([&](const auto &name, const Subschema *subschema) {
            if (Member *member = members.find(name)) {
                member->is_matched = true;
                valid = check(subschema, member->key + 1, sink) && valid;
            }
            return goes_on(valid);
        });
        constraint.applyToPatternProperties([&](const auto &name, const Subschema *subschema) {
            const std::string pattern(name);
            const Pattern &compiled = find(pattern);
            for (Member &member : members.all) {
                if (!goes_on(valid)) break;
                if (!matches(pattern, compiled, member.key)) continue;
                member.is_matched = true;
                valid = check(subschema, member.key + 1, sink) && valid;
            }
            return goes_on(valid);
        });
        const Subschema *additional = constraint.getAdditionalPropertiesSubschema();
        if (additional == current->emptySubschema()) return valid;
        for (const Member &member : members.all) {
            if (!goes_on(valid)) break;
            if (member.is_matched) continue;
            spend();
            if (additional != nullptr) {
                valid = check(additional, member.key + 1, sink) && valid;
            } else {
                valid = fail_at(
                    member.key + 1, [&] { return "unexpected property " + in_quotes(in.content(member.key)); });
            }
        }
        return valid;
    }

    bool visit(const PropertyNamesConstraint &constraint) override
    {
        if (in.kind(node) != CJS_OBJECT) return true;
        bool valid = true;
        for (uint32_t key = node + 1; key < in.at(node).end && goes_on(valid); key = in.at(key + 1).end) {
            if (check(constraint.getSubschema(), key, nullptr)) continue;
            valid = fail_at(key, [&] {
                const std::string why = first_reason(constraint.getSubschema(), key);
                return "the property name " + in_quotes(in.content(key)) + " is not allowed: " + why;
            });
        }
        return valid;
    }

    bool visit(const DependenciesConstraint &constraint) override
    {
        if (in.kind(node) != CJS_OBJECT) return true;
        Members members(*this);
        bool valid = true;
        constraint.applyToPropertyDependencies([&](const auto &name, const auto &required) {
            if (members.find(name) == nullptr) return true;
            for (const auto &other : required) {
                if (!goes_on(valid)) break;
                if (members.find(other) != nullptr) continue;
                valid = fail([&] {
                    return "missing property " + in_quotes(other) + ", which " + in_quotes(name) + " needs";
                });
            }
            return goes_on(valid);
        });
        constraint.applyToSchemaDependencies([&](const auto &name, const Subschema *subschema) {
            if (!goes_on(valid)) return false;
            if (members.find(name) != nullptr) valid = check(subschema, node, sink) && valid;
            return true;
        });
        return valid;
    }

private:
    /// The most schemas within one another while a value is checked: enough for values 64 deep, and bounded for the stack.
    static constexpr int most_levels = 1'000;

    struct Level {
        explicit Level(Visitor &visitor) : visitor(visitor)
        {
            if (++visitor.levels > most_levels) {
                visitor.levels--;
                throw Exhausted{visitor.node, "nested too deep to validate against this schema"};
            }
        }
        ~Level() { visitor.levels--; }
        Level(const Level &) = delete;
        Level &operator=(const Level &) = delete;

        Visitor &visitor;
    };

    /// Whether a node is valid against what a reference leads to.
    bool check_numbered(size_t number, uint32_t at, Sink *into)
    {
        const valijson::Schema *const outer = current;
        current = schema.schemas.at(number).get();
        const bool valid = check(current->root(), at, into);
        current = outer;
        return valid;
    }

    bool check_count(const ContainsCountConstraint &constraint)
    {
        if (in.kind(node) != CJS_ARRAY) return true;
        int64_t count = 0;
        for (uint32_t item = node + 1; item < in.at(node).end; item = in.at(item).end) {
            if (check_numbered(constraint.number, item, nullptr)) count++;
            if (constraint.most >= 0 && count > constraint.most) break;
        }
        if (count < constraint.least) {
            return fail([&] {
                return "at least " + counted(static_cast<uint64_t>(constraint.least), "item", "items")
                    + " must match the schema in 'contains', " + std::to_string(count) + " do";
            });
        }
        if (constraint.most >= 0 && count > constraint.most) {
            return fail([&] {
                return "at most " + counted(static_cast<uint64_t>(constraint.most), "item", "items")
                    + " may match the schema in 'contains'";
            });
        }
        return true;
    }

    struct Member {
        std::string_view name;
        uint32_t key;
        bool is_matched;
    };

    /// The members of the object at hand, found by name.
    struct Members {
        explicit Members(Visitor &visitor) : visitor(visitor)
        {
            const Instance &in = visitor.in;
            const cjs_node &object = in.at(visitor.node);
            visitor.spend(object.payload / 4);
            all.reserve(object.payload);
            for (uint32_t key = visitor.node + 1; key < object.end; key = in.at(key + 1).end) {
                all.push_back({in.content(key), key, false});
            }
            is_sorted = all.size() > 16;
            if (is_sorted) std::sort(all.begin(), all.end(), [](auto &a, auto &b) { return a.name < b.name; });
        }

        template <typename Name> Member *find(const Name &name)
        {
            const std::string_view wanted(name.data(), name.size());
            visitor.spend();
            if (is_sorted) {
                auto member = std::lower_bound(
                    all.begin(), all.end(), wanted, [](const Member &a, std::string_view b) { return a.name < b; });
                return member != all.end() && member->name == wanted ? &*member : nullptr;
            }
            for (Member &member : all) {
                if (member.name == wanted) return &member;
            }
            return nullptr;
        }

        Visitor &visitor;
        std::vector<Member> all;
        bool is_sorted;
    };

    void spend(uint64_t units = 1)
    {
        budget.left -= static_cast<int64_t>(units);
        if (budget.left < 0) throw Exhausted{node, "too expensive to validate against this schema"};
    }

    /// Whether to look further: nothing is wrong yet, or somebody wants to know what else is.
    bool goes_on(bool valid) const { return valid || (sink != nullptr && sink->violations.size() < sink->most); }

    /// Records a violation of the node at hand. The message is made only if somebody wants it. Always false.
    template <typename Message> bool fail(const Message &message) { return fail_at(node, message); }

    template <typename Message> bool fail_at(uint32_t at, const Message &message)
    {
        if (sink != nullptr && sink->violations.size() < sink->most) {
            sink->violations.push_back({at, false, message()});
        }
        return false;
    }

    std::string first_reason(const Subschema *subschema, uint32_t at)
    {
        Sink one{{}, 1};
        check(subschema, at, &one);
        return one.violations.empty() ? "not valid" : one.violations.front().message;
    }

    /// Why each of the first alternatives did not match. Alternatives within them are left out: explaining must not
    /// cost more than judging.
    template <typename Constraint> std::string reasons(const Constraint &constraint)
    {
        if (explaining >= 1) return "";
        explaining++;
        std::string text;
        constraint.applyToSubschemas([&](unsigned index, const Subschema *subschema) {
            if (index >= 4) {
                text += "; …";
                return false;
            }
            text += (index == 0 ? ": " : "; ") + excerpt(first_reason(subschema, node), 120);
            return true;
        });
        explaining--;
        return text;
    }

    bool has_type(TypeConstraint::JsonType type) const
    {
        switch (type) {
        case TypeConstraint::kAny: return true;
        case TypeConstraint::kArray: return in.kind(node) == CJS_ARRAY;
        case TypeConstraint::kBoolean: return in.kind(node) == CJS_TRUE || in.kind(node) == CJS_FALSE;
        case TypeConstraint::kInteger:
            return in.kind(node) == CJS_INTEGER || (in.kind(node) == CJS_NUMBER && is_whole(in.number(node)));
        case TypeConstraint::kNull: return in.kind(node) == CJS_NULL;
        case TypeConstraint::kNumber: return in.is_number(node);
        case TypeConstraint::kObject: return in.kind(node) == CJS_OBJECT;
        case TypeConstraint::kString: return in.is_text(node);
        }
        return false;
    }

    static bool is_whole(double value)
    {
        // All doubles are, from 2^53 on. Not std::trunc, which would need libm.
        return value >= 0x1p53 || value <= -0x1p53 || static_cast<double>(static_cast<int64_t>(value)) == value;
    }

    static const char *type_name(TypeConstraint::JsonType type)
    {
        switch (type) {
        case TypeConstraint::kAny: return "any";
        case TypeConstraint::kArray: return "array";
        case TypeConstraint::kBoolean: return "boolean";
        case TypeConstraint::kInteger: return "integer";
        case TypeConstraint::kNull: return "null";
        case TypeConstraint::kNumber: return "number";
        case TypeConstraint::kObject: return "object";
        case TypeConstraint::kString: return "string";
        }
        return "";
    }

    /// Compares the number at hand with a bound, exactly.
    int compare(double bound) const
    {
        if (in.kind(node) == CJS_NUMBER) {
            const double value = in.number(node);
            return value < bound ? -1 : value > bound ? 1 : 0;
        }
        const int64_t value = in.integer(node);
        if (bound >= 0x1p63) return -1;
        if (bound < -0x1p63) return 1;
        const auto whole = static_cast<int64_t>(bound);
        if (value != whole) return value < whole ? -1 : 1;
        const double fraction = bound - static_cast<double>(whole);
        return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
    }

    bool is_multiple(const std::string &divisor)
    {
        if (!in.is_number(node)) return true;
        if (Decimal(in.canonical(node)).is_multiple_of(Decimal(divisor))) return true;
        return fail([&] { return "must be a multiple of " + divisor + ", got " + excerpt(in.canonical(node)); });
    }

    /// In code points.
    uint64_t length()
    {
        const std::string_view text = in.content(node);
        spend(text.size() / 64);
        return static_cast<uint64_t>(
            std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
    }

    bool is_at_least(uint64_t count, uint64_t least, const char *one, const char *many)
    {
        if (count >= least) return true;
        return fail([&] {
            return "must have at least " + counted(least, one, many) + ", has " + std::to_string(count);
        });
    }

    bool is_at_most(uint64_t count, uint64_t most, const char *one, const char *many)
    {
        if (count <= most) return true;
        return fail([&] {
            return "must have at most " + counted(most, one, many) + ", has " + std::to_string(count);
        });
    }

    const Pattern &find(const std::string &pattern)
    {
        spend(1 + pattern.size() / 64);
        return schema.patterns.at(pattern);
    }

    bool matches(const std::string &pattern, const Pattern &compiled, uint32_t at)
    {
        spend();
        switch (matcher.search(compiled, in.content(at))) {
        case Matcher::Result::yes: return true;
        case Matcher::Result::no: return false;
        case Matcher::Result::too_expensive: break;
        }
        throw Exhausted{at, "pattern too expensive: " + in_quotes(pattern)};
    }

    const cjs_schema &schema;
    const Instance &in;
    Budget budget;
    Matcher matcher;
    Subschema::ApplyFunction apply;

    // What is being checked right now, and where its violations go.
    uint32_t node = 0;
    Sink *sink = nullptr;
    int explaining = 0;
    int levels = 0;
    /// The schema that the constraints at hand are of.
    const valijson::Schema *current;
};

struct Report : cjs_report {
    std::vector<Violation> found;
    std::vector<cjs_violation> storage;

    explicit Report(std::vector<Violation> violations) : cjs_report{}
    {
        for (Violation &violation : violations) {
            const auto place = std::upper_bound(
                found.begin(), found.end(), violation.node, [](uint32_t node, auto &b) { return node < b.node; });
            found.insert(place, std::move(violation));
        }
        for (const Violation &violation : found) {
            storage.push_back(
                {violation.node, violation.is_limit ? 1u : 0u, violation.message.data(), violation.message.size()});
        }
        this->violations = storage.data();
        this->count = storage.size();
    }
};

}  // namespace

// MARK: - The C API

extern "C" int32_t cjs_schema_validate(
    const cjs_schema *schema, const cjs_node *nodes, const uint8_t *text, const uint8_t *unescaped,
    size_t most_violations, const cjs_report **report)
{
    try {
        const Instance in{nodes, reinterpret_cast<const char *>(text), reinterpret_cast<const char *>(unescaped)};
        Visitor visitor(*schema, in);
        Sink sink{{}, most_violations};
        try {
            if (visitor.check_root(&sink)) return 0;
        } catch (const Exhausted &exhausted) {
            // Never cut off by the others.
            if (sink.violations.size() >= most_violations) sink.violations.pop_back();
            sink.violations.push_back({exhausted.node, true, exhausted.message});
        }
        *report = new Report(std::move(sink.violations));
        return 1;
    } catch (const std::exception &error) {
        set_message(error.what());
    } catch (...) {
        set_message("unknown failure");
    }
    return -1;
}

extern "C" void cjs_report_free(const cjs_report *report) { delete static_cast<const Report *>(report); }
