// Which fault of table.py the program has: VARVE_MUTANT is its number, none or 0 for none. For the copies that generate.py makes only.
#ifndef VARVE_TESTS_MUTANTS_MUTANT_H
#define VARVE_TESTS_MUTANTS_MUTANT_H

#include <cstdlib>

inline bool varve_mutant(int number) {
  static const int kChosen = [] {
    const char* text = std::getenv("VARVE_MUTANT");
    return text == nullptr ? 0 : std::atoi(text);
  }();
  return kChosen == number;
}

#endif
